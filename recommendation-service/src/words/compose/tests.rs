use super::*;

#[test]
fn conditions_are_written_as_the_filter_reads_them() {
    let mut all = All::default();
    all.add(["a".to_owned()], false);
    all.add(["b".to_owned()], false);
    all.add(["a".to_owned()], false);
    all.merge_last(2);
    all.add(["c".to_owned()], true);
    all.add(["d".to_owned()], false);
    assert_eq!(all.into_text().as_deref(), Some("a|b|c,d"));
}
