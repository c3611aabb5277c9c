//! Certificates of one test, made by `openssl`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

const SETTINGS: &str = "
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:TRUE
[host]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1, DNS:localhost
";

/// A folder with two roots, `root.crt` and `other.crt`, and `host.crt` with `host.key`, which the first has signed for
/// this machine.
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them.
    pub(crate) fn new() -> Self {
        let made = Self {
            folder: folder("certificates"),
        };
        std::fs::write(made.path("settings"), SETTINGS).unwrap();
        made.sign("root", "root", &[]);
        made.sign("other", "root", &[]);
        let (root, key) = (made.file("root.crt"), made.file("root.key"));
        made.sign("host", "host", &["-CA", &root, "-CAkey", &key]);
        made
    }

    fn sign(&self, name: &str, extensions: &str, signer: &[&str]) {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-config", &self.file("settings"), "-extensions", extensions])
            .args(["-subj", &format!("/CN={name}")])
            .args([
                "-out",
                &self.file(&certificate),
                "-keyout",
                &self.file(&key),
            ])
            .args(signer)
            .stderr(Stdio::null())
            .status();
        let made = made.expect("openssl; scripts/test.sh installs it");
        assert!(made.success(), "openssl makes no certificate {name}");
    }

    /// The path of a file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The path of a file as text.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The content of a file.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// A new folder, which everyone may enter.
pub(super) fn folder(what: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("platform-{}-{number}-{what}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}

pub(super) fn remove(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
}
