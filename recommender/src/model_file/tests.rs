use proptest::prelude::*;

use super::*;
use crate::{
    EaseSettings, SpectralSettings,
    testing::{on_threads, tastes},
};

fn fitted() -> (Manifest, ModelParts) {
    let all = tastes(60, 20);
    let settings = IalsSettings {
        dimensions: 4,
        ..IalsSettings::default()
    };
    let ease = EaseSettings {
        max_items: 12,
        neighbors: 5,
        ..EaseSettings::default()
    };
    let parts = ModelParts {
        films: (100..120).collect(),
        popularity: Some(Arc::new(Popularity::fit(&all))),
        ease: Some(Arc::new(Ease::fit(&all, &ease).expect("fits"))),
        ials: Some(Arc::new(Ials::fit(&all, &settings).expect("fits"))),
        spectral: Some(Arc::new(
            Spectral::fit(&all, &SpectralSettings::default()).expect("fits"),
        )),
    };
    let parameter = |name: &str, value| (name.to_owned(), value);
    let manifest = Manifest {
        seed: settings.seed,
        parameters: BTreeMap::from([
            parameter("blend.ease", 0.5),
            parameter("ials.regularization", settings.regularization),
        ]),
        ..Manifest::default()
    };
    (manifest, parts)
}

#[test]
fn encoding_round_trips_and_is_deterministic() {
    let write = || {
        let (manifest, parts) = fitted();
        encode(&manifest, &parts).expect("short")
    };
    let bytes = on_threads(1, write);
    assert!(bytes == on_threads(3, write));
    let read = decode(&bytes).expect("whole");
    assert!(read == fitted());
    let (manifest, parts) = read;
    let trained = parts.into_trained(7, &manifest).expect("sound");
    let weights: Vec<f32> = trained.parts.iter().map(|part| part.weight).collect();
    assert_eq!(weights, [1.0, 0.5, 1.0, 1.0]);
}

#[test]
fn one_model_without_a_manifest_is_a_version() {
    let (_, parts) = fitted();
    let lone = ModelParts {
        films: parts.films,
        ials: parts.ials,
        ..ModelParts::default()
    };
    let bytes = encode(&Manifest::default(), &lone).expect("short");
    assert_eq!(decode(&bytes).expect("whole").1.films.len(), 20);
    let none = ModelParts {
        films: lone.films,
        ..ModelParts::default()
    };
    let bytes = encode(&Manifest::default(), &none).expect("short");
    assert!(matches!(decode(&bytes), Err(ModelFileError::Empty)));
}

#[test]
fn invalid_numbers_and_shapes_are_rejected() {
    let refused = |change: fn(&mut ModelParts)| {
        let (manifest, mut parts) = fitted();
        change(&mut parts);
        decode(&encode(&manifest, &parts).expect("short")).expect_err("refused")
    };
    let ids = bytes(&[7_i64, 9], i64::to_le_bytes);
    let scores = bytes(&[1.0; 3], f32::to_le_bytes);
    let tensors = [
        (
            FILMS,
            TensorView::new(Dtype::I64, vec![2], &ids).expect("fits"),
        ),
        (
            POPULARITY,
            TensorView::new(Dtype::F32, vec![3], &scores).expect("fits"),
        ),
    ];
    let bytes = safetensors::serialize(tensors, None).expect("tensors");
    let error = decode(&bytes).expect_err("refused");
    assert!(error.to_string().contains(POPULARITY), "{error}");
    let error = refused(|parts| parts.films.swap(3, 4));
    assert!(error.to_string().contains(FILMS), "{error}");
    let (mut manifest, parts) = fitted();
    manifest.format = 2;
    let bytes = encode(&manifest, &parts).expect("short");
    assert!(matches!(decode(&bytes), Err(ModelFileError::Version(2))));
    // The last number of the last tensor.
    let (manifest, parts) = fitted();
    let mut bytes = encode(&manifest, &parts).expect("short");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(matches!(decode(&bytes), Err(ModelFileError::Model(_))));
}

proptest! {
    #[test]
    fn truncated_files_are_rejected(part in 0.0_f64..1.0) {
        let (manifest, parts) = fitted();
        let bytes = encode(&manifest, &parts).expect("short");
        let end = (bytes.len() as f64 * part) as usize;
        prop_assert!(decode(&bytes[..end]).is_err());
    }

    #[test]
    fn any_bytes_are_decoded_or_rejected(place in 0_usize..3000, byte: u8) {
        let (manifest, parts) = fitted();
        let mut bytes = encode(&manifest, &parts).expect("short");
        let place = place % bytes.len();
        bytes[place] = byte;
        if let Ok((manifest, parts)) = decode(&bytes) {
            // Weights below 0 may still be refused.
            let _ = parts.into_trained(1, &manifest);
        }
    }
}
