//! The operations of one configured CSV file.

use rcs_proto::icf::{
    ApiConfiguration, Attribute, AttributeFlag, AttributeInfo, ClassName, ConnectorObject, Filter, NAME,
    ObjectClass, ObjectClassInfo, OperationOptions, PASSWORD, Schema, Script, SearchResult, Secret, UID, Uid,
    Value,
};
use subtle::ConstantTimeEq as _;

use super::Folders;
use super::config::Settings;
use super::memory::Memory;
use super::store::{Edit, Store};
use super::sync;
use super::table::{Row, Table};
use super::values::{changes, new_uid, object_of};
use crate::connector::filter::Case;
use crate::connector::paging::{AttributesToGet, Page};
use crate::connector::sort::sort;
use crate::connector::{Connector, DeltaHandler, Flow, ObjectHandler, UpdateKind};
use crate::error::{ErrorClass, IcfError};

/// One configured CSV file. A wrong configuration is told by every operation, not by the opening.
pub(super) struct CsvConnector {
    store: Result<Store, IcfError>,
}

/// Bytes that a cell takes as an attribute of an object that waits to be sorted.
const SORTED_CELL_BYTES: u64 = 256;

/// The operations that an object class of this connector has (`SearchApiOp` ...).
pub(super) const CLASS_OPERATIONS: [&str; 8] = [
    "AuthenticationApiOp",
    "CreateApiOp",
    "DeleteApiOp",
    "GetApiOp",
    "ResolveUsernameApiOp",
    "SearchApiOp",
    "SyncApiOp",
    "UpdateApiOp",
];

impl CsvConnector {
    pub(super) fn new(configuration: &ApiConfiguration, memory: &Memory, folders: &Folders) -> Self {
        let store = Settings::read(configuration)
            .map(|settings| Store::new(settings, memory.clone(), folders.clone()));
        Self { store }
    }

    fn store(&self) -> Result<&Store, IcfError> {
        self.store.as_ref().map_err(Clone::clone)
    }

    /// The store, for an operation on accounts.
    fn accounts(&self, class: &ObjectClass) -> Result<&Store, IcfError> {
        if class.0 == ObjectClass::ACCOUNT {
            return self.store();
        }
        Err(IcfError::new(
            ErrorClass::IllegalArgument,
            format!("a CSV file holds objects of the class {}, not {}", ObjectClass::ACCOUNT, class.0),
        ))
    }

    fn attributes_to_get(&self, store: &Store, options: &OperationOptions) -> AttributesToGet {
        if store.settings().cuts_attributes { AttributesToGet::read(options) } else { AttributesToGet::ALL }
    }
}

impl Connector for CsvConnector {
    fn validate(&self) -> Result<(), IcfError> {
        self.store()?.is_allowed()?;
        let file = &self.store()?.settings().file;
        let wrong = |what: &str| {
            IcfError::new(ErrorClass::Configuration, format!("csvFile {} {what}", file.display()))
        };
        match std::fs::metadata(file) {
            Ok(metadata) if metadata.is_file() => Ok(()),
            Ok(metadata) if metadata.is_dir() => Err(wrong("is a directory; give the path of the CSV file")),
            Ok(_) => Err(wrong("is a pipe, a device or a socket; give the path of the CSV file")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(wrong("does not exist on this host; create it with a header line"))
            }
            Err(error) => Err(wrong(&format!("cannot be read: {error}"))),
        }
    }

    fn test(&self) -> Result<(), IcfError> {
        self.store()?.load().map(drop)
    }

    fn schema(&self) -> Result<Schema, IcfError> {
        Ok(schema_of(&*self.store()?.load()?))
    }

    fn search(
        &self,
        class: &ObjectClass,
        filter: Option<&Filter>,
        options: &OperationOptions,
        handler: &mut ObjectHandler<'_>,
    ) -> Result<Option<SearchResult>, IcfError> {
        let store = self.accounts(class)?;
        let page = Page::read(options)?;
        let wanted = self.attributes_to_get(store, options);
        let table = store.load()?;
        let rows = matching(store, &table, filter)?;
        let total = rows.len();
        let keys = options.sort_keys();
        let mut stopped = false;
        let mut deliver = |object| {
            stopped = handler(wanted.cut(object)) == Flow::Stop;
            !stopped
        };
        let range = page.range(total);
        if keys.is_empty() {
            let mut rows = rows.get(range).unwrap_or_default().iter();
            let _ = rows.all(|row| deliver(object_of(&table, row)));
        } else {
            let cells = (rows.len() as u64).saturating_mul(table.columns().len() as u64);
            let _lease = store.reserve(cells.saturating_mul(SORTED_CELL_BYTES))?;
            let mut objects: Vec<_> = rows.iter().map(|row| object_of(&table, row)).collect();
            sort(&mut objects, &keys);
            let _ = objects.drain(range).all(deliver);
        }
        Ok(if stopped { None } else { Some(page.result(total)) })
    }

    fn get(
        &self,
        class: &ObjectClass,
        uid: &Uid,
        options: &OperationOptions,
    ) -> Result<Option<ConnectorObject>, IcfError> {
        let store = self.accounts(class)?;
        let wanted = self.attributes_to_get(store, options);
        let table = store.load()?;
        Ok(table.row(&uid.value).map(|row| wanted.cut(object_of(&table, row))))
    }

    fn sync(
        &self,
        class: &ObjectClass,
        token: &Value,
        options: &OperationOptions,
        handler: &mut DeltaHandler<'_>,
    ) -> Result<Option<Value>, IcfError> {
        let store = self.accounts(class)?;
        let wanted = self.attributes_to_get(store, options);
        Ok(sync::sync(store, token, &wanted, handler)?.map(Value::Long))
    }

    fn latest_sync_token(&self, class: &ObjectClass) -> Result<Option<Value>, IcfError> {
        sync::latest(self.accounts(class)?).map(|token| Some(Value::Long(token)))
    }

    fn create(
        &self,
        class: &ObjectClass,
        attributes: &[Attribute],
        _options: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        let store = self.accounts(class)?;
        if attributes.is_empty() {
            return Err(IcfError::new(ErrorClass::IllegalArgument, "an object needs at least one attribute"));
        }
        refuse_uid(attributes)?;
        store.change(|table| {
            let uid = new_uid(table, attributes)?;
            if table.row(&uid).is_some() {
                return Err(already_exists());
            }
            let mut cells = vec![None; table.columns().len()];
            for (column, value) in changes(table, UpdateKind::Replace, attributes, |_| None)? {
                if let Some(cell) = cells.get_mut(column) {
                    *cell = value;
                }
            }
            if let Some(cell) = cells.get_mut(table.uid_column()) {
                *cell = Some(uid.clone());
            }
            Ok(Edit::Replace(table.with_row(&store.settings().format, &cells), Uid::new(uid)))
        })
    }

    fn update(
        &self,
        kind: UpdateKind,
        class: &ObjectClass,
        uid: &Uid,
        attributes: &[Attribute],
        _options: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        let store = self.accounts(class)?;
        refuse_uid(attributes)?;
        if kind != UpdateKind::Replace && attributes.iter().any(|given| given.is(NAME) || given.is(PASSWORD))
        {
            return Err(IcfError::new(
                ErrorClass::IllegalArgument,
                "values of __NAME__ and __PASSWORD__ can be replaced, but neither added nor removed",
            ));
        }
        store.change(|table| {
            let row = table.row(&uid.value).ok_or_else(unknown_uid)?;
            let changes = changes(table, kind, attributes, |column| row.cell(column).map(str::to_owned))?;
            if changes.is_empty() {
                return Ok(Edit::Keep(Uid::new(&uid.value)));
            }
            let renamed = changes.iter().find(|(column, _)| *column == table.uid_column());
            let new = match renamed.and_then(|(_, value)| value.as_deref()) {
                Some(new) if table.row(new).is_some() => return Err(already_exists()),
                Some(new) => new.to_owned(),
                None => uid.value.clone(),
            };
            let text = table.with_cells(&store.settings().format, row, &changes);
            let text = text.map_err(|error| store.io(&error.to_string()))?;
            Ok(Edit::Replace(text, Uid::new(new)))
        })
    }

    fn delete(&self, class: &ObjectClass, uid: &Uid, _options: &OperationOptions) -> Result<(), IcfError> {
        self.accounts(class)?.change(|table| {
            let row = table.row(&uid.value).ok_or_else(unknown_uid)?;
            Ok(Edit::Replace(table.without(row), ()))
        })
    }

    fn authenticate(
        &self,
        class: &ObjectClass,
        username: &str,
        password: &Secret<String>,
        _options: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        let table = self.accounts(class)?.load()?;
        let Some(column) = table.password_column() else {
            return Err(IcfError::new(
                ErrorClass::Configuration,
                "the CSV file has no password column; set headerPassword to its header",
            ));
        };
        let row = table.row(username).ok_or_else(unknown_user)?;
        let held = row.cell(column).unwrap_or_default();
        let same: bool = held.as_bytes().ct_eq(password.expose().as_bytes()).into();
        if held.is_empty() || !same {
            return Err(IcfError::new(ErrorClass::InvalidPassword, "the user name or the password is wrong"));
        }
        Ok(Uid::new(table.uid_of(row)))
    }

    fn resolve_username(
        &self,
        class: &ObjectClass,
        username: &str,
        _options: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        let table = self.accounts(class)?.load()?;
        let row = table.row(username).ok_or_else(unknown_user)?;
        Ok(Uid::new(table.uid_of(row)))
    }

    fn script_on_connector(
        &self,
        script: &Script,
        _arguments: &Value,
        _options: &OperationOptions,
    ) -> Result<Value, IcfError> {
        Err(IcfError::new(
            ErrorClass::IllegalArgument,
            format!(
                "this connector runs no scripts; it cannot run one in the language {:?}",
                script.language
            ),
        ))
    }
}

/// The rows that pass the filter, in the order of the file. An identifier is looked up, not searched for.
fn matching<'a>(store: &Store, table: &'a Table, filter: Option<&Filter>) -> Result<Vec<&'a Row>, IcfError> {
    let rules = store.settings().rules;
    let Some(filter) = filter else { return Ok(table.rows().iter().collect()) };
    if let (Case::Sensitive, Some(uid)) = (rules.case, asked_uid(table, filter)) {
        return Ok(table.row(uid).into_iter().collect());
    }
    let mut rows = Vec::new();
    for row in table.rows() {
        if rules.accepts(filter, &object_of(table, row))? {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The one identifier that an equality filter asks for.
fn asked_uid<'a>(table: &Table, filter: &'a Filter) -> Option<&'a str> {
    let Filter::Equals(attribute) = filter else { return None };
    let is_uid = attribute.is(UID)
        || (attribute.is(NAME) && table.name_column().is_none())
        || table.column(&attribute.name) == Some(table.uid_column());
    match attribute.values.as_deref() {
        Some([Value::String(uid)]) if is_uid => Some(uid),
        _ => None,
    }
}

fn schema_of(table: &Table) -> Schema {
    let text = |name: &str, flags: &[AttributeFlag]| AttributeInfo {
        name: name.to_owned(),
        class: ClassName::plain("String"),
        flags: flags.to_vec(),
    };
    let name_flags: &[AttributeFlag] =
        if table.name_column().is_some() { &[] } else { &[AttributeFlag::Required] };
    let mut attributes = vec![text(NAME, name_flags), text(UID, &[])];
    for (column, header) in table.columns().iter().enumerate() {
        if table.password_column() == Some(column) {
            attributes.push(AttributeInfo {
                name: PASSWORD.to_owned(),
                class: ClassName::plain("GuardedString"),
                flags: vec![AttributeFlag::NotReadable, AttributeFlag::NotReturnedByDefault],
            });
        } else if column != table.uid_column() && table.name_column() != Some(column) {
            attributes.push(text(header, &[]));
        }
    }
    let class = ObjectClass::ACCOUNT.to_owned();
    Schema {
        object_classes: vec![ObjectClassInfo {
            object_class: ObjectClass(class.clone()),
            container: false,
            attributes,
        }],
        options: Vec::new(),
        object_classes_by_operation: CLASS_OPERATIONS
            .iter()
            .map(|operation| (ClassName::plain(operation), vec![class.clone()]))
            .collect(),
        options_by_operation: Vec::new(),
    }
}

/// The framework's own rule: the identifier is an argument of its own, never an attribute.
fn refuse_uid(attributes: &[Attribute]) -> Result<(), IcfError> {
    if attributes.iter().any(|given| given.is(UID)) {
        return Err(IcfError::new(
            ErrorClass::InvalidAttributeValue,
            "the attributes must not contain __UID__",
        ));
    }
    Ok(())
}

fn already_exists() -> IcfError {
    IcfError::new(ErrorClass::AlreadyExists, "the CSV file has a row with this identifier already")
}

fn unknown_uid() -> IcfError {
    IcfError::new(ErrorClass::UnknownUid, "the CSV file has no row with this identifier")
}

fn unknown_user() -> IcfError {
    IcfError::new(ErrorClass::InvalidCredential, "the CSV file has no row for this user name")
}
