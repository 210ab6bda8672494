//! The connector of the drills' nodes: it writes down each change that it runs, and can be made to fail.
//!
//! What happened is in its journal, one line a change, appended with one write: what a line says happened, happened once. What
//! is to go wrong is said by files in the member's folder, which a drill makes and removes while it runs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcs_node::connector::{Connector, ConnectorFactory, Flow, ObjectHandler, UpdateKind};
use rcs_node::error::{ErrorClass, IcfError};
use rcs_proto::icf::{
    ApiConfiguration, Attribute, ClassName, ConfigurationProperty, ConnectorInfo, ConnectorKey,
    ConnectorObject, Filter, NAME, ObjectClass, OperationOptions, SearchResult, Secret, UID, Uid, Value,
};

/// The name of the connector's bundle.
pub(crate) const BUNDLE: &str = "rcs-bench.drill";
/// The journal's name in a member's folder.
pub(crate) const JOURNAL: &str = "journal";
/// While a file of this name is in the member's folder, its resource is down.
pub(crate) const DOWN: &str = "down";
/// While a file of this name is there, each call takes as many more milliseconds as it says.
pub(crate) const SLOW: &str = "slow";
/// A get of this uid ends the process at once.
pub(crate) const POISON: &str = "poison";
/// The attribute whose value tells one update from all others.
pub(crate) const MARK: &str = "mark";
/// Milliseconds for which a call has made no progress yet when the drill looks for one; a property.
const DELAY: &str = "delayMillis";
/// A property: whether the process ends as soon as anything is done with this configuration, a `test` included.
const ENDS: &str = "poison";
/// Objects of a search; a property.
const ROWS: &str = "rows";
/// Bytes of each of them; a property.
const ROW_BYTES: &str = "rowBytes";

/// Describes the connector.
pub(crate) struct DrillFactory {
    member: String,
    folder: PathBuf,
    /// The version of the connector's bundle.
    version: String,
    journal: Arc<File>,
}

impl DrillFactory {
    /// The connector of a member whose files are in `folder`, in a bundle of this version.
    pub(crate) fn new(member: &str, folder: &Path, version: &str) -> io::Result<Self> {
        let journal = OpenOptions::new().create(true).append(true).open(folder.join(JOURNAL))?;
        let (member, folder, version) = (member.to_owned(), folder.to_owned(), version.to_owned());
        Ok(Self { member, folder, version, journal: Arc::new(journal) })
    }
}

impl ConnectorFactory for DrillFactory {
    fn info(&self) -> ConnectorInfo {
        let operations: Vec<ClassName> = [
            "AuthenticationApiOp",
            "CreateApiOp",
            "DeleteApiOp",
            "GetApiOp",
            "SearchApiOp",
            "TestApiOp",
            "UpdateApiOp",
            "ValidateApiOp",
        ]
        .map(ClassName::plain)
        .to_vec();
        let configuration = ApiConfiguration {
            producer_buffer_size: 100,
            pooling_supported: false,
            pool: None,
            results_handlers: None,
            properties: vec![
                number(1, ROWS, 10),
                number(2, ROW_BYTES, 100),
                number(3, DELAY, 0),
                number(4, ENDS, 0),
            ],
            timeouts_ms: operations.iter().map(|operation| (operation.clone(), -1)).collect(),
            supported_operations: operations,
        };
        ConnectorInfo {
            display_name_key: None,
            category_key: None,
            key: ConnectorKey {
                bundle_name: BUNDLE.to_owned(),
                bundle_version: self.version.clone(),
                connector_name: "drill.Connector".to_owned(),
            },
            messages: None,
            configuration: Some(configuration),
        }
    }

    fn open(&self, configuration: &ApiConfiguration) -> Result<Arc<dyn Connector>, IcfError> {
        let value = |name: &str| match configuration.property(name).map(|property| &property.value) {
            Some(Value::Integer(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        Ok(Arc::new(DrillConnector {
            member: self.member.clone(),
            folder: self.folder.clone(),
            journal: self.journal.clone(),
            rows: value(ROWS),
            pad: "x".repeat(usize::try_from(value(ROW_BYTES)).unwrap_or(0)),
            delay: Duration::from_millis(value(DELAY)),
            ends: value(ENDS) > 0,
        }))
    }
}

fn number(order: i32, name: &str, value: i32) -> ConfigurationProperty {
    ConfigurationProperty {
        order,
        confidential: false,
        required: false,
        name: name.to_owned(),
        help_key: None,
        display_key: None,
        group_key: None,
        class: ClassName::plain("int"),
        value: Value::Integer(value),
        operations: Vec::new(),
    }
}

struct DrillConnector {
    member: String,
    folder: PathBuf,
    journal: Arc<File>,
    rows: u64,
    pad: String,
    delay: Duration,
    ends: bool,
}

impl DrillConnector {
    /// What every operation begins with: is the resource there, and how long does it take.
    fn reach(&self) -> Result<(), IcfError> {
        if self.ends {
            std::process::abort();
        }
        let slow = std::fs::read_to_string(self.folder.join(SLOW)).ok();
        let slow =
            slow.and_then(|text| text.trim().parse().ok()).map_or(Duration::ZERO, Duration::from_millis);
        if !(self.delay + slow).is_zero() {
            std::thread::sleep(self.delay + slow);
        }
        match self.folder.join(DOWN).exists() {
            false => Ok(()),
            true => {
                let message = format!("the resource behind {} is down", self.member);
                Err(IcfError::new(ErrorClass::ConnectionFailed, message))
            }
        }
    }

    /// Runs a change: it has happened once its line is in the journal.
    fn change(&self, operation: &str, token: &str) -> Result<(), IcfError> {
        self.reach()?;
        let line = format!("{operation}\t{token}\t{}\n", self.member);
        (&*self.journal).write_all(line.as_bytes()).map_err(|error| {
            IcfError::new(ErrorClass::ConnectorIo, format!("the journal cannot be written: {error}"))
        })
    }

    fn object(&self, class: &ObjectClass, uid: &str) -> ConnectorObject {
        let attributes = vec![
            Attribute::text(UID, uid),
            Attribute::text(NAME, uid),
            Attribute::text("servedBy", &self.member),
            Attribute::text("pad", &self.pad),
        ];
        ConnectorObject { object_class: class.clone(), attributes }
    }
}

impl Connector for DrillConnector {
    fn validate(&self) -> Result<(), IcfError> {
        Ok(())
    }

    fn test(&self) -> Result<(), IcfError> {
        self.reach()
    }

    /// Objects `u1` ... `uN`, in that order.
    fn search(
        &self,
        class: &ObjectClass,
        _: Option<&Filter>,
        _: &OperationOptions,
        handler: &mut ObjectHandler<'_>,
    ) -> Result<Option<SearchResult>, IcfError> {
        self.reach()?;
        for row in 1..=self.rows {
            if handler(self.object(class, &format!("u{row}"))) == Flow::Stop {
                return Ok(None);
            }
        }
        Ok(Some(SearchResult { total_paged_results: -1, remaining_paged_results: -1, ..Default::default() }))
    }

    fn get(
        &self,
        class: &ObjectClass,
        uid: &Uid,
        _: &OperationOptions,
    ) -> Result<Option<ConnectorObject>, IcfError> {
        if uid.value == POISON {
            std::process::abort();
        }
        self.reach()?;
        Ok(Some(self.object(class, &uid.value)))
    }

    fn create(
        &self,
        _: &ObjectClass,
        attributes: &[Attribute],
        _: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        let name = text_of(attributes, NAME)?;
        self.change("CREATE", name)?;
        Ok(Uid::new(name))
    }

    fn update(
        &self,
        _: UpdateKind,
        _: &ObjectClass,
        uid: &Uid,
        attributes: &[Attribute],
        _: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        self.change("UPDATE", text_of(attributes, MARK)?)?;
        Ok(uid.clone())
    }

    fn delete(&self, _: &ObjectClass, uid: &Uid, _: &OperationOptions) -> Result<(), IcfError> {
        self.change("DELETE", &uid.value)
    }

    /// Everybody's password is right, and each attempt is written down: one that counts twice may lock an account.
    fn authenticate(
        &self,
        _: &ObjectClass,
        username: &str,
        _: &Secret<String>,
        _: &OperationOptions,
    ) -> Result<Uid, IcfError> {
        self.change("LOGIN", username)?;
        Ok(Uid::new(username))
    }
}

fn text_of<'a>(attributes: &'a [Attribute], name: &str) -> Result<&'a str, IcfError> {
    let found = attributes.iter().find(|attribute| attribute.is(name)).and_then(Attribute::first);
    found
        .and_then(Value::as_str)
        .ok_or_else(|| IcfError::new(ErrorClass::InvalidAttributeValue, format!("{name} is missing")))
}
