//! `-o table|wide|json|yaml`: the same four formats of every command that shows something.

use rcs_rig::wait::wait_until;
use serde_json::Value;

use crate::changes::Alone;
use crate::support::{PATIENCE, run};

/// What each command shows, and a word that only its wide form has (empty: both forms are the same).
const COMMANDS: [(&str, &str); 13] = [
    ("status", ""),
    ("member list", "LAST ERROR"),
    ("group list", "COUNT"),
    ("group show g", "COUNT"),
    ("cluster status", "INCARNATION"),
    ("cluster status --consistent", "INCARNATION"),
    ("audit", "ACTION"),
    ("audit --consistent", "AUTHOR"),
    ("token list", ""),
    ("bundles status g", ""),
    ("bundles diff g", ""),
    ("quarantine list", ""),
    ("call list", ""),
];

fn of_yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// Numbers and words that change from one moment to the next are not compared.
fn shape(value: &Value) -> Value {
    match value {
        Value::Array(all) => all.iter().map(shape).collect(),
        Value::Object(all) => all.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Number(_) => Value::from(0),
        other => other.clone(),
    }
}

#[test]
fn every_list_has_four_formats_of_one_content() {
    let alone = Alone::start("cluster");
    assert_eq!(alone.ask("token create look --role viewer").code, Some(0));
    for (command, only_wide) in COMMANDS {
        let show = |format: &str| {
            let ran = alone.ask(&format!("{command} -o {format}"));
            // `status` tells with its exit code how the groups are served.
            assert!(
                ran.stderr.is_empty() && matches!(ran.code, Some(0..=2)),
                "{command} -o {format}: {ran:?}"
            );
            ran.stdout
        };
        let [table, wide, json, yaml] = ["table", "wide", "json", "yaml"].map(show);
        assert!(!table.starts_with(['{', '[']) && !table.trim().is_empty(), "{command}: {table}");
        assert!(wide.contains(only_wide), "{command}: {wide}");
        assert!(only_wide.is_empty() || !table.contains(only_wide), "{command}: {table}");
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(shape(&json), shape(&of_yaml(&yaml)), "{command}: {yaml}");
    }
}

#[test]
fn a_change_tells_its_outcome_in_yaml_too() {
    let alone = Alone::start("cluster");
    let tried = alone.ask("group create hr --algorithm failover --member n1 --dry-run -o yaml");
    let told = of_yaml(&tried.stdout);
    assert_eq!((tried.code, &told["dry_run"]), (Some(0), &Value::Bool(true)), "{tried:?}");
    let drained = alone.ask("member drain g n1 --force -o yaml");
    assert_eq!(of_yaml(&drained.stdout)["name"], "n1", "{drained:?}");
    let events = alone.ask("events -o yaml").stdout;
    let documents: Vec<Value> = events.split("---\n").skip(1).map(of_yaml).collect();
    assert!(documents.len() > 2 && documents[0]["event"] == "start", "{events}");
    let wide = alone.ask("events -o wide").stdout;
    let id = documents[1]["id"].as_str().unwrap();
    assert!(wide.contains(id) && !alone.ask("events").stdout.contains(id), "{wide}");
}

#[test]
fn a_router_that_stands_alone_is_restored_from_its_backup() {
    let mut alone = Alone::start("cluster");
    assert_eq!(alone.ask("group create hr --algorithm failover --member n2").code, Some(0));
    let backup = alone.path("backup.json");
    assert_eq!(alone.ask(&format!("cluster backup {backup}")).code, Some(0));
    let data = alone.path("restored");
    std::fs::create_dir(&data).unwrap();
    let restore =
        |more: &[&str]| run(&[&["cluster", "restore", "--data-dir", &data][..], more, &[&backup]].concat());
    let half = restore(&["--router", "1=localhost:1"]);
    assert!(half.code == Some(64) && half.stderr.contains("--cluster-certs"), "{half:?}");
    let restored = restore(&[]);
    assert!(restored.code == Some(0) && restored.stdout.contains("start the router"), "{restored:?}");
    assert_eq!(restore(&[]).code, Some(65), "a store is never overwritten");
    alone.restart(&data);
    wait_until("the restored router has the group", PATIENCE, || {
        alone.get("/v1/groups/hr").body["servers"][0] == "n2"
    });
    let changed = alone.ask("group delete hr");
    assert_eq!(changed.code, Some(0), "a restored router takes changes: {changed:?}");
}
