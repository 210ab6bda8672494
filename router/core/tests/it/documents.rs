//! Whole provider documents and what `rcs-router check` says of them: `documents/NAME.json` and
//! `documents/NAME.txt`.

use std::fs;
use std::path::{Path, PathBuf};

use rcs_core::ids::NameBook;
use rcs_core::provider::report::Report;
use rcs_core::provider::{Properties, Severity, read};

/// What the placeholders of the documents stand for.
fn properties() -> Properties {
    [("NODE_HOST", "n1.example.org"), ("NODE_PORT", "8759"), ("NODE_KEY", "four-rainy-days")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into()
}

fn documents() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the folder of documents")
        .map(|entry| entry.expect("a file of it").path())
        .collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "json"));
    paths.sort();
    assert!(paths.len() >= 10, "the documents are missing");
    paths
}

#[test]
fn each_document_is_reported_as_written_beside_it() {
    for path in documents() {
        let reading = read(&fs::read(&path).unwrap(), &properties());
        let shown = Report(&reading).to_string();
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        assert_eq!(shown, expected, "{}\n{shown}", path.display());
        assert!(!shown.contains("four-rainy-days"), "a report shows no key (P9): {shown}");
    }
}

#[test]
fn a_document_without_errors_makes_a_view_and_one_with_errors_none() {
    for path in documents() {
        let reading = read(&fs::read(&path).unwrap(), &properties());
        let errors = reading.of(Severity::Error).count();
        match reading.provider {
            Some(provider) => {
                assert_eq!(errors, 0, "{}", path.display());
                let view = provider.view(&mut NameBook::new()).unwrap();
                assert_eq!(view.members().len(), provider.members.len(), "{}", path.display());
            }
            None => assert!(errors > 0, "{}", path.display()),
        }
    }
}
