//! An hr.csv of our own: three users, quoted fields, a field delimiter inside a value.

use std::fs;
use std::path::{Path, PathBuf};

/// The uids in the order of the file.
pub const UIDS: [&str; 3] = ["bjensen", "scarter", "jvalles"];

const TEXT: &str = r#""uid","firstName","lastName","department","email","title","manager"
"bjensen","Barbara","Jensen","Product Development","bjensen@example.com","Engineer, senior","scarter"
"scarter","Steven","Carter","Human Resources","scarter@example.com","Head of ""people""",""
"jvalles","Johanna","Valles","Sales","jvalles@example.com","Account manager","scarter"
"#;

/// Writes hr.csv into `folder` and returns its path.
pub fn write(folder: &Path) -> PathBuf {
    let path = folder.join("hr.csv");
    fs::write(&path, TEXT).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    path
}

/// The `use` command of an IDM that reads `csv` with the CSV connector.
pub fn use_command(csv: &Path) -> String {
    format!("use CSV csvFile={} headerUid=uid", csv.display())
}
