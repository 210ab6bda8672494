use proptest::prelude::*;

use super::*;
use crate::bundles::samples::key;

#[test]
fn a_version_is_in_a_range_or_not() {
    for (versions, version, is_in) in [
        // V03, V05: three references of one connector, matched by what they contain.
        ("[1.5.19.0,1.6.0.0)", "1.5.20.0", true),
        ("[1.5.1.4,1.6.0.0)", "1.5.20.0", true),
        ("[1.5.0.0,1.6.0.0)", "1.5.20.0", true),
        ("[1.5.20.0,1.6.0.0)", "1.5.20.0", true),
        ("(1.5.20.0,1.6.0.0)", "1.5.20.0", false),
        ("[1.5.0.0,1.5.20.0]", "1.5.20.0", true),
        ("[1.5.0.0,1.5.20.0)", "1.5.20.0", false),
        ("[1.5,1.6)", "1.5.0.0", true),
        ("[1.5,1.6)", "1.6", false),
        (" [ 1.5 , 1.6 ) ", "1.5.9.9", true),
        ("[1.9.0.0,1.10.0.0]", "1.10.0.0", true),
        ("[1.1,1.2)", "1.10.0.0", false),
        ("1.5.20.0", "1.5.20.0", true),
        ("1.5", "1.5.0.0", true),
        ("1.5.20.0", "1.5.20.1", false),
        ("[1.5.0.0,1.6.0.0)", "1.6.0.0-SNAPSHOT", true),
        ("[1.5.0.0,1.6.0.0)", "1.5.0.0-SNAPSHOT", false),
        ("*", "whatever", true),
        ("[1.5,1.6)", "whatever", false),
        // .NET (B05)
        ("[1.4.0.0,1.5.0.0)", "1.4.2.0", true),
    ] {
        let parsed: Versions = versions.parse().unwrap();
        assert_eq!(parsed.contains_text(version), is_in, "{version} in {versions}");
        assert_eq!(parsed.to_string().parse::<Versions>(), Ok(parsed), "{versions}");
    }
}

#[test]
fn bad_references_are_refused_with_what_to_write() {
    for (text, error) in [
        ("", "is not a version"),
        ("1.5.0.0.0", "is not a version"),
        ("1..5", "is not a version"),
        ("v1", "is not a version"),
        ("1.5-", "is not a version"),
        ("+1.5", "is not a version"),
        ("4294967296", "is not a version"),
        ("[1.5.0.0,x)", "is not a version"),
        ("[1.5,1.6", "without both brackets"),
        ("1.5,1.6)", "without both brackets"),
        ("1.5,1.6", "without both brackets"),
        ("[", "without both brackets"),
        ("[]", "lower and an upper bound"),
        ("[1.5]", "lower and an upper bound"),
        ("[1.5,)", "lower and an upper bound"),
        ("[1,2,3)", "lower and an upper bound"),
        ("[1.6,1.5)", "no version can be in"),
        ("[1.5,1.5)", "no version can be in"),
        ("(1.5,1.5.0]", "no version can be in"),
    ] {
        let said = text.parse::<Versions>().unwrap_err().to_string();
        assert!(said.contains(error), "{text}: {said}");
    }
    for text in ["", "/1.0", "a/1.0/", "a/1.0/b/c"] {
        assert!(matches!(text.parse::<ConnectorRef>(), Err(RangeError::Reference(_))), "{text}");
    }
    let long = "1".repeat(1000);
    assert!(long.parse::<Versions>().unwrap_err().to_string().len() < 400);
}

#[test]
fn references_are_read_from_text_and_from_idms_own_json() {
    let csv = key(
        "org.forgerock.openicf.connectors.csvfile-connector",
        "1.5.20.0",
        "org.forgerock.openicf.csvfile.CSVFileConnector",
    );
    let shell = key(
        "MsPowerShell.Connector",
        "1.4.2.0",
        "Org.ForgeRock.OpenICF.Connectors.MsPowerShell.MsPowerShellConnector",
    );
    for (text, is_csv, is_shell) in [
        ("*", true, true),
        ("*/*/*", true, true),
        ("MsPowerShell.Connector", false, true),
        ("MsPowerShell.Connector/[1.4.0.0,1.5.0.0)", false, true),
        ("mspowershell.connector", false, false),
        ("org.forgerock.openicf.connectors.csvfile-connector/1.5.20.0", true, false),
        ("*/*/org.forgerock.openicf.csvfile.CSVFileConnector", true, false),
        ("*/[1.5,1.6)", true, false),
    ] {
        let reference: ConnectorRef = text.parse().unwrap();
        assert_eq!((reference.matches(&csv), reference.matches(&shell)), (is_csv, is_shell), "{text}");
        assert_eq!(reference.to_string().parse::<ConnectorRef>(), Ok(reference), "{text}");
    }
    let mut json = serde_json::json!({
        "connectorHostRef": "csv",
        "bundleName": csv.bundle_name,
        "bundleVersion": "[1.5.19.0,1.6.0.0)",
        "connectorName": csv.connector_name,
    });
    assert!(ConnectorRef::from_json(&json).unwrap().matches(&csv));
    json["bundleVersion"] = 15.into();
    assert_eq!(ConnectorRef::from_json(&json), Err(RangeError::Part("bundleVersion")));
    json["bundleVersion"] = "[1.5.19.0".into();
    assert!(matches!(ConnectorRef::from_json(&json), Err(RangeError::Brackets(_))));
}

#[test]
fn a_version_stands_in_for_another_only_where_the_operator_says_so() {
    let rig = |version: &str| key("rig.connector", version, "rig.RigConnector");
    let other = key("rig.connector", "1.0.0.1", "rig.OtherConnector");
    let within: StandIns = StandIns(vec!["rig.connector/[1.0.0.0,1.1.0.0)".parse().unwrap()]);
    let none = StandIns::default();
    for (rules, wanted, offered, found) in [
        (&none, "1.0.0.0", vec!["1.0.0.1"], None),
        (&none, "1.0.0.0", vec!["1.0.0.1", "1.0.0.0"], Some("1.0.0.0")),
        (&within, "1.0.0.0", vec!["1.0.0.1"], Some("1.0.0.1")),
        (&within, "1.0.0.0", vec!["1.0.0.1", "1.0.0.0"], Some("1.0.0.0")),
        (&within, "1.0.0.0", vec!["1.0.0.2", "1.0.0.10", "1.0.0.1"], Some("1.0.0.10")),
        (&within, "1.0.0.1", vec!["1.0.0.0"], Some("1.0.0.0")),
        (&within, "1.0.0.0", vec!["1.1.0.0"], None),
        (&within, "1.1.0.0", vec!["1.0.0.0"], None),
        (&within, "1.1.0.0", vec!["1.1.0.0"], Some("1.1.0.0")),
        (&within, "odd", vec!["1.0.0.0"], None),
        (&within, "odd", vec!["odd"], Some("odd")),
        (&within, "1.0.0.0", vec![], None),
    ] {
        let keys: Vec<ConnectorKey> =
            offered.iter().map(|version| rig(version)).chain([other.clone()]).collect();
        let got = rules.satisfying(&rig(wanted), &keys);
        assert_eq!(got, found.map(rig).as_ref(), "{wanted} of {offered:?}");
    }
}

#[test]
fn members_take_a_call_with_the_connector_that_each_of_them_has() {
    let rig = |version: &str| key("rig.connector", version, "rig.RigConnector");
    let within: StandIns = StandIns(vec!["rig.connector/[1.0.0.0,1.1.0.0)".parse().unwrap()]);
    let (old, new, out) = ([rig("1.0.0.0")], [rig("1.0.0.1")], [rig("1.1.0.0")]);
    let members = [(MemberId(3), &old[..]), (MemberId(1), &new[..]), (MemberId(2), &out[..])];
    assert_eq!(
        within.takers(&old[0], members),
        [(MemberId(3), &old[0]), (MemberId(1), &new[0])],
        "a half upgraded group; never a member outside of the range"
    );
    assert_eq!(StandIns::default().takers(&old[0], members), [(MemberId(3), &old[0])]);
    assert_eq!(within.takers(&rig("2.0.0.0"), members), []);
}

fn version() -> impl Strategy<Value = Version> {
    proptest::array::uniform4(0u32..4).prop_map(|[a, b, c, d]| format!("{a}.{b}.{c}.{d}").parse().unwrap())
}

proptest! {
    #[test]
    fn containment_is_what_the_brackets_say(a in version(), b in version(), v in version(), low in 0..2usize, high in 0..2usize) {
        let text = format!("{}{a},{b}{}", ["[", "("][low], ["]", ")"][high]);
        let expected = (v > a || (low == 0 && v == a)) && (v < b || (high == 0 && v == b));
        match text.parse::<Versions>() {
            Ok(range) => prop_assert_eq!(range.contains(&v), expected),
            Err(error) => {
                prop_assert!(!expected);
                prop_assert!(matches!(error, RangeError::Empty(_)));
            }
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,40}") {
        let _ = text.parse::<Versions>();
        let _ = text.parse::<ConnectorRef>();
    }
}
