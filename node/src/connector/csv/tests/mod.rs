//! The connector on real files. What is expected is what the published connector answered on the same input, unless a row
//! of the table of differences in node/CSV.md says otherwise.

mod configuring;
mod odd_files;
mod reading;
mod storing;
mod syncing;
mod writing;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcs_proto::icf::{
    ApiConfiguration, Attribute, ConnectorObject, Filter, ObjectClass, OperationOptions, PASSWORD, Secret,
    SortKey, Uid, Value,
};

use super::memory::Memory;
use super::{CsvFactory, Folders, default_configuration};
use crate::connector::{Connector, ConnectorFactory, Flow, UpdateKind};
use crate::error::{ErrorClass, IcfError};

const HR: &str = r#""uid","email","lastName","firstName","password","description"
"bjensen","bjensen@example.com","Jensen","Barbara","Passw0rd","First user"
"scarter","scarter@example.com","Carter","Steven","Passw1rd","Second, user"
"jdoe","jdoe@example.com","Doe","John","Passw2rd",""
"#;

/// A CSV file in a folder of its own, and a connector on it.
struct Rig {
    folder: tempfile::TempDir,
    connector: Arc<dyn Connector>,
}

impl Rig {
    fn new(content: impl AsRef<[u8]>) -> Self {
        Self::with(content, &[])
    }

    fn with(content: impl AsRef<[u8]>, properties: &[(&str, Value)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hr.csv"), content).unwrap();
        let connector = open(&folder.path().join("hr.csv"), properties);
        Self { folder, connector }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("hr.csv")
    }

    fn another(&self) -> Arc<dyn Connector> {
        open(&self.file(), &[])
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// The names in the folder, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn search(&self, filter: Option<&Filter>, options: &OperationOptions) -> Result<Vec<String>, IcfError> {
        let mut found = Vec::new();
        self.connector.search(&account(), filter, options, &mut |object| {
            found.push(uid_of(&object));
            Flow::Continue
        })?;
        Ok(found)
    }

    fn get(&self, uid: &str) -> Option<ConnectorObject> {
        self.connector.get(&account(), &Uid::new(uid), &none()).unwrap()
    }

    fn value(&self, uid: &str, attribute: &str) -> Option<String> {
        text_in(&self.get(uid)?, attribute)
    }

    fn create(&self, attributes: &[Attribute]) -> Result<String, IcfError> {
        self.connector.create(&account(), attributes, &none()).map(|uid| uid.value)
    }

    fn update(&self, kind: UpdateKind, uid: &str, attributes: &[Attribute]) -> Result<String, IcfError> {
        self.connector.update(kind, &account(), &Uid::new(uid), attributes, &none()).map(|uid| uid.value)
    }

    fn replace(&self, uid: &str, attributes: &[Attribute]) -> Result<String, IcfError> {
        self.update(UpdateKind::Replace, uid, attributes)
    }

    fn delete(&self, uid: &str) -> Result<(), IcfError> {
        self.connector.delete(&account(), &Uid::new(uid), &none())
    }

    fn authenticate(&self, user: &str, password: &str) -> Result<String, IcfError> {
        let password = Secret::new(password.to_owned());
        self.connector.authenticate(&account(), user, &password, &none()).map(|uid| uid.value)
    }
}

fn open(file: &std::path::Path, properties: &[(&str, Value)]) -> Arc<dyn Connector> {
    CsvFactory::default().open(&configuration(file, properties)).unwrap()
}

fn open_in(memory: &Memory, file: &std::path::Path) -> Arc<dyn Connector> {
    CsvFactory { memory: memory.clone(), ..CsvFactory::default() }.open(&configuration(file, &[])).unwrap()
}

fn configuration(file: &std::path::Path, properties: &[(&str, Value)]) -> ApiConfiguration {
    let mut configuration = default_configuration();
    let file = ("csvFile", Value::File(file.to_str().unwrap().to_owned()));
    for (name, value) in [file].into_iter().chain(properties.iter().cloned()) {
        let found = configuration.properties.iter_mut().find(|property| property.name == name);
        found.expect("a property of that name").value = value;
    }
    configuration
}

fn account() -> ObjectClass {
    ObjectClass(ObjectClass::ACCOUNT.to_owned())
}

fn none() -> OperationOptions {
    OperationOptions::default()
}

fn options(entries: &[(&str, Value)]) -> OperationOptions {
    OperationOptions {
        case_insensitive: false,
        entries: entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
    }
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn attribute(name: &str, value: &str) -> Attribute {
    Attribute::text(name, value)
}

fn password(clear: &str) -> Attribute {
    Attribute::new(PASSWORD, vec![Value::GuardedString(Secret::new(clear.to_owned()))])
}

fn uid_of(object: &ConnectorObject) -> String {
    text_in(object, "__UID__").unwrap()
}

fn text_in(object: &ConnectorObject, attribute: &str) -> Option<String> {
    match object.attribute(attribute)?.first()? {
        Value::String(text) => Some(text.clone()),
        Value::GuardedString(secret) => Some(secret.expose().clone()),
        other => panic!("{attribute} is {other:?}"),
    }
}

fn class_of<T: std::fmt::Debug>(result: Result<T, IcfError>) -> ErrorClass {
    result.unwrap_err().class
}

fn sort_key(field: &str, ascending: bool) -> Value {
    Value::SortKey(SortKey { field: field.to_owned(), ascending })
}
