//! `docs/settings.md`, made from the tables of keys, so that the manual cannot say something else than the router does.

use std::fmt::Write as _;
use std::path::Path;

use rcs_core::settings::{GroupSettings, RouterSettings};

use super::idms::{IDM, Idm};
use super::keys::{GROUP, Key, OWN_GROUP, ROUTER};
use super::members::{MEMBER, MEMBERS, MemberFiles};

/// Set to anything, it makes the test below write the document in place of comparing it.
const WRITE: &str = "RCS_WRITE_DOCS";

/// The command that writes the document anew.
const COMMAND: &str = "RCS_WRITE_DOCS=1 cargo test -p rcs-router --lib config::manual";

/// What stands above the tables. Its blocks are run by the tests of the documents.
const HEAD: &str = r#"# Settings

`rcs-router serve --config FILE` and `rcs-router check --config FILE` read a TOML file. The file says what IDM's provider document has no place
for: timeouts, limits, health, bundle sets. [router.toml.example](../router/router.toml.example) has every key with its default.

```toml file=router.toml
[router]
socket_ttl = "1h"

[defaults]
deadlines.read = "30s"

[group.hr]
retry_percent = 10
```

- `[router]` is for the whole router, `[defaults]` for all groups, `[group.NAME]` for one group. A group takes from `[defaults]` what its own table leaves out.
- A time is a whole number and its unit: `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"1d"`. `"off"` switches a feature off, where the table below allows it.
- `serve` reads the file again about once a second. A good change is in force at once. A file with a fault changes nothing: the log names every fault with its line, and the last good settings stay.
- Settings for a group that the provider document does not have are a warning. They wait for a group of that name.
- `[idm.NAME]` names an IDM that the router dials ([client-mode.md](client-mode.md#the-router-dials-the-idm)). Each router reads its own file: in a cluster, these tables are not agreed.
- IDM encrypts the keys in its own document (`$crypto`), and never gives out another form. Put the key into a file and name it in `[members]` (for all servers with such a key) or in `[member.NAME]`; the document stays as IDM writes it. Key files and trust stores are followed as well.

`check` prints what is in force for each group, and marks with a star what differs from the default:

```console
$ rcs-router check --provider provider.json --config router.toml | grep '^  [*]'
  * socket_ttl = "1h" …
  * deadlines.read = "30s" …
  * retry_percent = 10 …
```
"#;

/// The whole document.
fn document() -> String {
    let mut text = format!(
        "<!-- Made from router/src/config/keys.rs. To change a row, change it there, then run: {COMMAND} -->\n{HEAD}"
    );
    table(&mut text, "`[router]`", ROUTER, &RouterSettings::default());
    table(&mut text, "`[defaults]` and `[group.NAME]`", GROUP, &GroupSettings::default());
    table(&mut text, "`[group.NAME]` alone", OWN_GROUP, &GroupSettings::default());
    table(&mut text, "`[members]`", MEMBERS, &MemberFiles::default());
    table(&mut text, "`[member.NAME]`", MEMBER, &MemberFiles::default());
    table(&mut text, "`[idm.NAME]`", IDM, &Idm::default());
    text
}

fn table<S: Clone>(text: &mut String, title: &str, keys: &[Key<S>], default: &S) {
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes any text");
    line(format!("\n## {title}\n\n| key | default | values | meaning |\n|---|---|---|---|"));
    for key in keys {
        // A bar would end the cell.
        let [values, about] = [&*key.choice(), key.about].map(|text| text.replace('|', "\\|"));
        line(format!("| `{}` | `{}` | {values} | {about} |", key.name, key.shown(default)));
    }
}

#[test]
fn the_manual_says_what_the_keys_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    let wanted = document();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &wanted).expect("the document can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let mut pairs = wanted.lines().zip(found.lines().chain(std::iter::repeat("")));
    let first = pairs.find(|(wanted, found)| wanted != found);
    assert!(
        found == wanted,
        "docs/settings.md is not what the keys say; write it anew with\n{COMMAND}\nfirst difference: {first:?}"
    );
}
