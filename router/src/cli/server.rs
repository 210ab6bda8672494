//! `rcs-router member add` and `remove`.

use std::path::{Path, PathBuf};

use clap::Args;
use rcs_cli::Failure;
use rcs_cli::file::read_bounded;
use serde_json::{Map, Value};

use super::asked::{Asked, tell};
use super::client::{Method, segment};
use super::wish::{Wish, WishError};
use crate::limits::KEY_FILE_BYTES_MAX;

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The member's name.
    name: String,
    /// The host name or address of the connector server.
    #[arg(long, value_name = "HOST", required_unless_present = "client")]
    host: Option<String>,
    /// The port of the connector server.
    #[arg(long, value_name = "PORT", default_value_t = 8759)]
    port: u16,
    /// File whose first line is the key of the connector server, as its setKey command was given it. A member that exists keeps its key
    /// without this option.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Dial with TLS.
    #[arg(long)]
    use_ssl: bool,
    /// The user name towards the connector server; most servers accept any user name.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// The path of the connector server, instead of /openicf.
    #[arg(long, value_name = "PATH")]
    websocket_path: Option<String>,
    /// Connections that the router keeps open to the member.
    #[arg(long, value_name = "N")]
    sockets: Option<u8>,
    /// The member dials the router (client mode).
    #[arg(long, conflicts_with_all = ["host", "port", "key_file", "use_ssl", "principal", "websocket_path", "sockets"])]
    client: bool,
    /// Do not route to the member.
    #[arg(long)]
    disabled: bool,
    /// Replace the member of this name, if there is one.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    wish: Wish,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The member's name.
    name: String,
    #[command(flatten)]
    wish: Wish,
}

pub(super) fn add(add: &Add, asked: &Asked) -> Result<(), Failure> {
    let send = |body: Value| {
        let new_only = [("If-None-Match", "*".to_owned())];
        let headers = if add.replace { &[][..] } else { &new_only };
        add.wish.send(asked, Method::Put, &path(&add.name), headers, body.to_string().as_bytes())
    };
    tell(entry(add).and_then(send), WishError::exit)
}

pub(super) fn remove(remove: &Remove, asked: &Asked) -> Result<(), Failure> {
    let outcome = remove.wish.send(asked, Method::Delete, &path(&remove.name), &[], &[]);
    tell(outcome, WishError::exit)
}

fn path(name: &str) -> String {
    format!("/v1/servers/{}", segment(name))
}

/// The member as its entry in IDM's document.
fn entry(add: &Add) -> Result<Value, WishError> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    set("enabled", (!add.disabled).into());
    if add.client {
        set("type", "remoteConnectorClient".into());
        return Ok(Value::Object(fields));
    }
    set("host", add.host.clone().into());
    set("port", add.port.into());
    set("useSSL", add.use_ssl.into());
    set("principal", add.principal.clone().into());
    set("websocketPath", add.websocket_path.clone().into());
    set("webSocketConnections", add.sockets.into());
    if let Some(file) = &add.key_file {
        // A key is taken as it stands, and placeholders are for documents.
        set("key", key(file)?.replace("&{", "&{|&{}").into());
    }
    Ok(Value::Object(fields))
}

fn key(file: &Path) -> Result<String, WishError> {
    let failed = |reason: String| WishError::File { path: file.display().to_string(), reason };
    let bytes = read_bounded(file, KEY_FILE_BYTES_MAX).map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("it is no text in UTF-8".to_owned()))?;
    match text.lines().next() {
        None | Some("") => Err(failed("its first line has no key".to_owned())),
        Some(line) => Ok(line.to_owned()),
    }
}
