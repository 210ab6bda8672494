//! Loads the golden vectors under `tests/vectors`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One vector file.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) fields: Value,
}

impl Vector {
    /// A text field.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.fields[field].as_str().unwrap_or_else(|| panic!("{}: no {field}", self.name))
    }

    /// The blob.
    pub(crate) fn blob(&self) -> Vec<u8> {
        unhex(self.text("hex"))
    }
}

/// All vectors of that folder, sorted by name.
pub(crate) fn load(folder: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = files(folder)
        .iter()
        .map(|path| {
            let fields: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            Vector { name: fields["name"].as_str().unwrap().to_owned(), fields }
        })
        .collect();
    vectors.sort_by(|a, b| a.name.cmp(&b.name));
    vectors
}

/// The vector of that name.
pub(crate) fn one(folder: &str, name: &str) -> Vector {
    load(folder).into_iter().find(|vector| vector.name == name).unwrap()
}

/// The files of that folder.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder);
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Bytes of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Hexadecimal digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
