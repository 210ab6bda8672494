//! Tokens and changes: nothing lost, nothing told twice, across restarts and clocks.

use rcs_proto::icf::{SyncDelta, SyncDeltaType};

use super::*;

fn token(rig: &Rig) -> Value {
    rig.connector.latest_sync_token(&account()).unwrap().unwrap()
}

fn sync(connector: &Arc<dyn Connector>, since: &Value) -> Result<(Vec<SyncDelta>, Value), IcfError> {
    let mut deltas = Vec::new();
    let next = connector.sync(&account(), since, &none(), &mut |delta| {
        deltas.push(delta);
        Flow::Continue
    })?;
    Ok((deltas, next.expect("a sync that was not stopped has a token")))
}

fn told(deltas: &[SyncDelta]) -> Vec<String> {
    let name = |kind| match kind {
        SyncDeltaType::Create => "CREATE",
        SyncDeltaType::Update => "UPDATE",
        SyncDeltaType::Delete => "DELETE",
        SyncDeltaType::CreateOrUpdate => "CREATE_OR_UPDATE",
    };
    deltas.iter().map(|delta| format!("{}:{}", name(delta.delta_type), delta.uid.value)).collect()
}

#[test]
fn changes_between_two_tokens_are_told_once() {
    let rig = Rig::new(HR);
    let first = token(&rig);
    assert_eq!(token(&rig), first, "nothing changed, so the token stays");
    rig.replace("jdoe", &[attribute("email", "n1")]).unwrap();
    rig.create(&[attribute("__NAME__", "c1")]).unwrap();
    rig.delete("scarter").unwrap();
    rig.create(&[attribute("__NAME__", "passing")]).unwrap();
    rig.delete("passing").unwrap();
    let (deltas, second) = sync(&rig.connector, &first).unwrap();
    assert_eq!(told(&deltas), ["DELETE:scarter", "UPDATE:jdoe", "CREATE:c1"]);
    assert!(deltas.iter().all(|delta| delta.token == first), "an interrupted sync begins again");
    assert_eq!(text_in(deltas[1].object.as_ref().unwrap(), "email").as_deref(), Some("n1"));
    let (deltas, third) = sync(&rig.connector, &second).unwrap();
    assert_eq!((told(&deltas), third), (vec![], second.clone()));
    let (again, _) = sync(&rig.connector, &first).unwrap();
    assert_eq!(
        told(&again),
        ["DELETE:scarter", "UPDATE:jdoe", "CREATE:c1"],
        "whoever asks again is told again"
    );
    assert_eq!(token(&rig), second);
}

#[test]
fn a_rename_is_a_deletion_and_a_creation() {
    let rig = Rig::new(HR);
    let since = token(&rig);
    rig.replace("jdoe", &[attribute("__NAME__", "jd2")]).unwrap();
    assert_eq!(told(&sync(&rig.connector, &since).unwrap().0), ["DELETE:jdoe", "CREATE:jd2"]);
}

#[test]
fn what_other_programs_change_is_found_too() {
    let rig = Rig::new(HR);
    let since = token(&rig);
    let elsewhere = HR.replace("Carter", "Cartier").replace("\"jdoe\",", "\"jdoe2\",");
    fs::write(rig.file(), elsewhere).unwrap();
    let (deltas, _) = sync(&rig.connector, &since).unwrap();
    assert_eq!(told(&deltas), ["DELETE:jdoe", "UPDATE:scarter", "CREATE:jdoe2"]);
}

#[test]
fn a_password_or_a_new_column_is_a_change_and_a_new_layout_is_none() {
    let rig = Rig::new(HR);
    let since = token(&rig);
    fs::write(rig.file(), HR.replace('"', "").replace("Second, user", "\"Second, user\"")).unwrap();
    let (deltas, since) = sync(&rig.connector, &since).unwrap();
    assert_eq!(told(&deltas), Vec::<String>::new(), "the same values, quoted otherwise");
    rig.replace("jdoe", &[password("other")]).unwrap();
    let (deltas, since) = sync(&rig.connector, &since).unwrap();
    assert_eq!(told(&deltas), ["UPDATE:jdoe"]);
    fs::write(rig.file(), "uid,more\nbjensen,x\n").unwrap();
    let (deltas, _) = sync(&rig.connector, &since).unwrap();
    assert_eq!(told(&deltas), ["DELETE:scarter", "DELETE:jdoe", "UPDATE:bjensen"]);
}

#[test]
fn a_token_survives_a_restart() {
    let rig = Rig::new(HR);
    let since = token(&rig);
    rig.delete("jdoe").unwrap();
    let (deltas, _) = sync(&rig.another(), &since).unwrap();
    assert_eq!(told(&deltas), ["DELETE:jdoe"]);
}

/// A token of the published connector names a file of the same form, so a migration loses nothing.
#[test]
fn the_published_connectors_states_are_understood() {
    let rig = Rig::new(HR);
    fs::write(rig.folder.path().join("hr.csv.1795291061146"), "\"uid\",\"email\"\n\"old\",\"x\"\n").unwrap();
    let (deltas, next) = sync(&rig.connector, &Value::Long(1_795_291_061_146)).unwrap();
    assert_eq!(told(&deltas)[0], "DELETE:old");
    assert_eq!(deltas.len(), 4);
    assert!(
        matches!(next, Value::Long(next) if next > 1_795_291_061_146),
        "{next:?} goes up whatever the clock"
    );
}

#[test]
fn from_nothing_everything_is_news() {
    for since in [Value::Long(0), Value::Integer(0), text("0"), Value::Long(-5), Value::Long(1)] {
        let rig = Rig::new(HR);
        let (deltas, next) = sync(&rig.connector, &since).unwrap();
        assert_eq!(told(&deltas), ["UPDATE:bjensen", "UPDATE:scarter", "UPDATE:jdoe"], "{since:?}");
        assert_eq!(token(&rig), next);
        assert_eq!(told(&sync(&rig.connector, &Value::Long(0)).unwrap().0).len(), 3);
    }
}

#[test]
fn a_time_after_the_last_change_is_a_token_too() {
    let rig = Rig::new(HR);
    let (deltas, next) = sync(&rig.connector, &Value::Long(i64::MAX)).unwrap();
    assert_eq!((told(&deltas), token(&rig)), (vec![], next));
}

#[test]
fn tokens_never_go_back_and_never_meet() {
    let rig = Rig::new(HR);
    let mut tokens = vec![token(&rig)];
    for round in 0..5 {
        rig.replace("jdoe", &[attribute("email", &round.to_string())]).unwrap();
        let past = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        fs::File::options().write(true).open(rig.file()).unwrap().set_modified(past).unwrap();
        tokens.push(token(&rig));
    }
    let numbers: Vec<_> =
        tokens.iter().map(|token| if let Value::Long(token) = token { *token } else { 0 }).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
}

#[test]
fn old_states_go_and_a_token_that_is_too_old_is_told_so() {
    let rig = Rig::with(HR, &[("syncFileRetentionCount", Value::Integer(1))]);
    let first = token(&rig);
    let mut since = first.clone();
    for round in 0..4 {
        rig.replace("jdoe", &[attribute("email", &round.to_string())]).unwrap();
        let (deltas, next) = sync(&rig.connector, &since).unwrap();
        assert_eq!(told(&deltas), ["UPDATE:jdoe"]);
        let (again, _) = sync(&rig.connector, &since).unwrap();
        assert_eq!(told(&again), ["UPDATE:jdoe"], "the answer may have been lost: its base is still there");
        since = next;
    }
    assert_eq!(rig.names().len(), 3, "the file and two states: {:?}", rig.names());
    let error = sync(&rig.connector, &first).unwrap_err();
    assert_eq!(error.class, ErrorClass::Connector);
    assert!(error.message.contains("syncFileRetentionCount"), "{}", error.message);
}

#[test]
fn a_stopped_sync_has_no_token_and_loses_nothing() {
    let rig = Rig::new(HR);
    let since = token(&rig);
    rig.delete("jdoe").unwrap();
    rig.delete("scarter").unwrap();
    let stopped = rig.connector.sync(&account(), &since, &none(), &mut |_| Flow::Stop);
    assert_eq!(stopped, Ok(None));
    assert_eq!(told(&sync(&rig.connector, &since).unwrap().0), ["DELETE:scarter", "DELETE:jdoe"]);
}

#[test]
fn foreign_tokens_and_broken_states_are_errors() {
    let rig = Rig::new(HR);
    for foreign in [text("abc"), Value::Boolean(true), Value::Null] {
        assert_eq!(class_of(sync(&rig.connector, &foreign)), ErrorClass::Connector);
    }
    let Value::Long(since) = token(&rig) else { panic!("a number") };
    rig.delete("jdoe").unwrap();
    fs::write(rig.folder.path().join(format!("hr.csv.{since}")), "uid\n\"x\n").unwrap();
    assert_eq!(class_of(sync(&rig.connector, &Value::Long(since))), ErrorClass::ConnectorIo);
}

#[test]
fn names_that_only_look_like_states_are_left_alone() {
    let rig = Rig::with(HR, &[("syncFileRetentionCount", Value::Integer(0))]);
    let others =
        ["hr.csv.bak", "hr.csv.+5", "hr.csv.0", "hr.csv.99999999999999999999", "hr.csv.5x", "xhr.csv.5"];
    for other in others {
        fs::write(rig.folder.path().join(other), "mine").unwrap();
    }
    for round in 0..4 {
        rig.replace("jdoe", &[attribute("email", &round.to_string())]).unwrap();
        sync(&rig.connector, &Value::Long(0)).unwrap();
    }
    for other in others {
        assert_eq!(fs::read_to_string(rig.folder.path().join(other)).unwrap(), "mine");
    }
}

#[test]
fn deltas_are_cut_to_the_attributes_asked_for() {
    let rig = Rig::new(HR);
    let wish = options(&[("ATTRS_TO_GET", Value::List(vec![text("email")]))]);
    rig.connector
        .sync(&account(), &Value::Long(0), &wish, &mut |delta| {
            assert_eq!(delta.object.unwrap().attributes.len(), 3);
            Flow::Continue
        })
        .unwrap();
}
