//! The connectors that this server runs, and the folders of a Java server.

use rcs_cli::doctor::Finding;
use rcs_proto::icf::ConnectorKey;
use rcs_proto::manifest::Bundle;

use crate::agent::{Depth, Roots, Scan, Scanner};
use crate::config::NodeConfig;
use crate::connector::Registry;

pub(super) fn look(config: &NodeConfig) -> Vec<Finding> {
    let registry = Registry::builtin(Vec::new());
    let own: Vec<ConnectorKey> = registry.factories().map(|factory| factory.info().key).collect();
    let names: Vec<String> = own.iter().map(ToString::to_string).collect();
    let mut findings = vec![Finding::ok("connectors", format!("rcs-node runs {}", names.join(", ")))];
    let roots = Roots { bundles: config.bundle_dir.clone(), lib: config.lib_dir.clone() };
    let Scan { outcome, missing, .. } = Scanner::new(roots).scan(Depth::Everything);
    let missing: Vec<String> = missing.iter().map(|root| format!("{root} does not exist")).collect();
    match outcome {
        Err(troubles) => findings.extend(troubles.iter().map(|trouble| {
            Finding::failed(
                "bundles",
                format!("{trouble}: correct the file, or connectorserver.bundleDir and libDir"),
            )
        })),
        Ok(files) => {
            let bundles: Vec<_> = files.files().iter().filter_map(|file| file.bundle.as_ref()).collect();
            let is_own = |bundle: &&&Bundle| own.iter().any(|key| key.bundle_name == bundle.name);
            let foreign = bundles.len() - bundles.iter().filter(is_own).count();
            let counted =
                format!("{} files, of which {} are connector bundles", files.files().len(), bundles.len());
            let counted =
                if missing.is_empty() { counted } else { format!("{counted}; {}", missing.join(", ")) };
            findings.push(match foreign {
                0 => Finding::ok("bundles", format!("bundleDir and libDir can be read: {counted}")),
                _ => Finding::warning(
                    "bundles",
                    format!(
                        "{counted}. rcs-node loads no Java bundle, so calls for {foreign} of them end with \"Connector not found\": run a Java connector \
                         server for them"
                    ),
                ),
            });
        }
    }
    findings
}
