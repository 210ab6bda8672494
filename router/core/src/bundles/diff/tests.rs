use proptest::prelude::*;
use rcs_proto::icf::ConnectorInfo;
use rcs_proto::manifest::{Bundle, Content, FileEntry, Oddity};

use super::Line;
use super::*;
use crate::bundles::samples::{any_infos, info, rig, rig_at};

fn wire(infos: &[ConnectorInfo]) -> Manifest {
    Manifest { wire: Some(Arc::new(WireManifest::of(infos).unwrap())), files: None }
}

fn file(root: Root, path: &str, content: &str) -> FileEntry {
    let content = Content::File { sha256: Digest::of(content.as_bytes()), bytes: content.len() as u64 };
    FileEntry { root, path: path.to_owned(), content, bundle: None, link: None }
}

fn jar(path: &str, name: &str, version: &str) -> FileEntry {
    let bundle = Some(Bundle { name: name.to_owned(), version: version.to_owned() });
    FileEntry { bundle, ..file(Root::Bundles, path, version) }
}

fn files(files: Vec<FileEntry>) -> Manifest {
    Manifest { wire: None, files: Some(Arc::new(FileManifest::of(files).unwrap())) }
}

/// The lines without the digests in brackets.
fn lines(old: &Manifest, new: &Manifest) -> Vec<String> {
    let text = Difference::between(old, new).to_string();
    let short = |line: &str| match (line.find(" ("), line.find(')')) {
        (Some(from), Some(to)) => format!("{}{}", &line[..from], &line[to + 1..]),
        _ => line.to_owned(),
    };
    text.lines().map(short).collect()
}

#[test]
fn connectors_are_missing_added_or_at_another_version() {
    let none: [&str; 0] = [];
    for (old, new, expected) in [
        (rig(), rig(), &none[..]),
        (rig(), rig_at("1.0.0.1"), &["changed connector rig.connector/rig.RigConnector 1.0.0.0 -> 1.0.0.1"]),
        (
            vec![info("a", "1.0"), info("b", "1.0")],
            vec![info("b", "1.0"), info("c", "1.0")],
            &["missing connector a/a.Connector 1.0", "added connector c/c.Connector 1.0"],
        ),
        (
            vec![info("a", "1.9"), info("a", "1.10")],
            vec![info("a", "1.10"), info("a", "1.11"), info("a", "1.12")],
            &["added connector a/a.Connector 1.12", "changed connector a/a.Connector 1.9 -> 1.11"],
        ),
        (vec![info("a", "1.0")], vec![], &["missing connector a/a.Connector 1.0"]),
    ] {
        assert_eq!(lines(&wire(&old), &wire(&new)), expected);
    }
}

#[test]
fn a_changed_property_is_named() {
    let mut other = rig();
    let properties = &mut other[0].configuration.as_mut().unwrap().properties;
    properties[0].required ^= true;
    properties[1].name = "new\nline".to_owned();
    other[0].display_name_key = None;
    let said = lines(&wire(&rig()), &wire(&other));
    assert_eq!(
        said,
        ["changed connector rig.connector/rig.RigConnector 1.0.0.0, missing property delayMillis, \
          added property new\\u{a}line, changed property storeFile, other operations, pooling or display name"]
    );
}

#[test]
fn files_are_missing_added_changed_or_renamed_with_their_version() {
    let (bundles, lib) = (Root::Bundles, Root::Lib);
    for (old, new, expected) in [
        (
            vec![jar("rig-1.0.0.0.jar", "rig.connector", "1.0.0.0")],
            vec![jar("rig-1.0.0.1.jar", "rig.connector", "1.0.0.1")],
            vec!["changed file bundles/rig-1.0.0.0.jar -> rig-1.0.0.1.jar 1.0.0.0 -> 1.0.0.1"],
        ),
        (
            vec![jar("rig.jar", "rig.connector", "1.0.0.0")],
            vec![jar("rig.jar", "rig.connector", "1.0.0.1")],
            vec!["changed file bundles/rig.jar 1.0.0.0 -> 1.0.0.1"],
        ),
        (
            vec![file(lib, "ojdbc8-19.3.jar", "a"), file(lib, "tools/a.groovy", "a")],
            vec![file(lib, "ojdbc8-21.1.jar", "b"), file(lib, "tools/a.groovy", "b")],
            vec![
                "changed file lib/ojdbc8-19.3.jar -> ojdbc8-21.1.jar 19.3 -> 21.1",
                "changed file lib/tools/a.groovy",
            ],
        ),
        (
            vec![file(lib, "a.sql", "a"), file(bundles, "x.jar", "x")],
            vec![file(lib, "b.sql", "a"), file(lib, "x.jar", "x")],
            vec![
                "missing file bundles/x.jar",
                "missing file lib/a.sql",
                "added file lib/b.sql",
                "added file lib/x.jar",
            ],
        ),
        (
            vec![file(lib, "a-1.jar", "1"), file(lib, "a-2.jar", "2")],
            vec![file(lib, "a-3.jar", "3"), file(lib, "b-2.jar", "2")],
            vec![
                "changed file lib/a-1.jar -> a-3.jar 1 -> 3",
                "missing file lib/a-2.jar 2",
                "added file lib/b-2.jar 2",
            ],
        ),
    ] {
        assert_eq!(lines(&files(old), &files(new)), expected);
    }
}

#[test]
fn what_is_no_file_has_a_word_instead_of_a_digest() {
    let link = |target: &str| FileEntry {
        content: Content::Odd(Oddity::Dangling),
        link: Some(target.to_owned()),
        ..file(Root::Lib, "a.jar", "")
    };
    let (real, one, two) = (file(Root::Lib, "a.jar", "x"), link("one"), link("two"));
    let between = |old: &FileEntry, new: &FileEntry| {
        Difference::between(&files(vec![old.clone()]), &files(vec![new.clone()])).to_string()
    };
    assert!(between(&real, &one).ends_with(" -> dangling)"));
    assert_eq!(between(&one, &two), "changed file lib/a.jar (dangling -> dangling)");
    assert_eq!(between(&one, &one), "");
}

#[test]
fn a_depth_that_one_side_lacks_is_not_compared() {
    let old = Manifest { files: files(vec![]).files, ..wire(&rig()) };
    assert!(Difference::between(&old, &wire(&rig())).is_empty());
    assert!(Difference::between(&Manifest::default(), &old).is_empty());
}

#[test]
fn a_long_difference_is_cut_and_counted() {
    let many = |name: &str| (0..1000).map(|n| file(Root::Lib, &format!("{name}{n:04}"), name)).collect();
    let difference = Difference::between(&files(many("a")), &files(many("b")));
    assert_eq!(
        (difference.items().len(), difference.more()),
        (DIFFERENCE_ITEMS_MAX, 2000 - DIFFERENCE_ITEMS_MAX)
    );
    assert!(difference.to_string().ends_with("... and 1900 more"));
    let line = Line(&difference).to_string();
    assert!(line.ends_with("; and 1997 more") && !line.contains('\n'), "{line}");
}

proptest! {
    /// Something differs exactly if the digests do, and the two directions mirror each other.
    #[test]
    fn a_difference_is_empty_only_between_equals(a in any_infos(), b in any_infos()) {
        let (a, b) = (wire(&a), wire(&b));
        let (there, back) = (Difference::between(&a, &b), Difference::between(&b, &a));
        prop_assert_eq!(there.is_empty(), a == b);
        prop_assert_eq!(there.len(), back.len());
        let count = |difference: &Difference, label| {
            difference.items().iter().filter(|item| item.change.label() == label).count()
        };
        prop_assert_eq!(count(&there, "missing"), count(&back, "added"));
        prop_assert_eq!(count(&there, "changed"), count(&back, "changed"));
        prop_assert!(Difference::between(&a, &a).is_empty());
    }

    #[test]
    fn file_differences_are_empty_only_between_equals(a in any_files(), b in any_files()) {
        let (there, back) = (Difference::between(&a, &b), Difference::between(&b, &a));
        let equal = a.files.as_ref().unwrap().digest() == b.files.as_ref().unwrap().digest();
        prop_assert_eq!(there.is_empty(), equal);
        prop_assert_eq!(there.len(), back.len());
        let mut sorted = there.items().to_vec();
        sorted.sort();
        prop_assert_eq!(sorted, there.items());
    }
}

fn any_files() -> impl Strategy<Value = Manifest> {
    let path = prop_oneof!["[ab]", "a-[1-3]\\.jar", "d/b-[1-3]\\.jar"];
    proptest::collection::btree_map(path, ("[x-z]", 0..3u8), 0..6).prop_map(|all| {
        let entries = all.into_iter().map(|(path, (content, bundle))| match bundle {
            0 => jar(&path, &content, "1"),
            1 => file(Root::Bundles, &path, &content),
            _ => file(Root::Lib, &path, &content),
        });
        files(entries.collect())
    })
}
