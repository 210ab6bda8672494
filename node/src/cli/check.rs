//! `rcs-node check`: what `serve` would do.

use std::fmt::Write as _;
use std::path::Path;

use rcs_cli::Failure;

use super::{CheckArgs, load, serve};
use crate::config::{Dial, Listen, Mode, NodeConfig, Transport};

pub(super) fn run(arguments: &CheckArgs) -> Result<(), Failure> {
    let config = load(&arguments.properties, &arguments.settings.overrides)?;
    rcs_cli::say(describe(&arguments.properties, &config).to_string().trim_end());
    let plan = serve::Plan::of(&config, &arguments.settings)?;
    if let Some(tls) = &plan.tls {
        rcs_cli::say(format_args!("certificate      {} (entry {})", tls.subject, tls.alias));
    }
    rcs_cli::say("ok");
    Ok(())
}

fn describe(path: &Path, config: &NodeConfig) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        writeln!(text, "{name:16} {value}").expect("a String takes any text");
    };
    for notice in &config.notices {
        line("notice", format!("{}: {notice}", path.display()));
    }
    match &config.mode {
        Mode::Server(listen) => describe_listen(listen, config, &mut line),
        Mode::Client(dial) => describe_dial(dial, &mut line),
    }
    line("ping", config.ping_interval.map_or("off".to_owned(), |time| format!("every {} s", time.as_secs())));
    for (name, folder) in [("bundleDir", &config.bundle_dir), ("libDir", &config.lib_dir)] {
        let state = if folder.is_dir() { "" } else { " (does not exist)" };
        line(name, format!("{}{state}", folder.display()));
    }
    text
}

fn describe_listen(listen: &Listen, config: &NodeConfig, line: &mut impl FnMut(&str, String)) {
    line("mode", "server: listens for callers".to_owned());
    line("listen", std::net::SocketAddr::new(listen.address, listen.port).to_string());
    let key = if listen.key.is_default() { "the default key, changeit" } else { "set" };
    line("key", key.to_owned());
    let transport = match (listen.transport, &config.key_store) {
        (Transport::Tls, Some(store)) => format!("TLS with {}", store.path.display()),
        _ => "plain; useSSL=true turns TLS on".to_owned(),
    };
    line("transport", transport);
    if config.trust_store.is_some() {
        line("trust store", "not used in server mode: callers authenticate with the key".to_owned());
    }
}

fn describe_dial(dial: &Dial, line: &mut impl FnMut(&str, String)) {
    line("mode", "client: dials its callers".to_owned());
    line("name", dial.server_name.clone());
    for url in &dial.urls {
        line("url", url.clone());
    }
}
