//! The issuers of access tokens: each is asked what the router would ask.

use rcs_cli::doctor::Finding;

use crate::access::Access;

pub(super) async fn ask(access: &Access) -> Vec<Finding> {
    let asked = access.examine_issuers().await.into_iter();
    asked
        .map(|(name, told)| match told {
            Ok(text) => Finding::ok(format!("issuer {name}"), text),
            Err(why) => Finding::failed(format!("issuer {name}"), why),
        })
        .collect()
}
