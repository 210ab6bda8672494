//! The baseline: what a real IDM's commands answer when nothing stands between it and a real RCS. `direct` proves the lines;
//! the same lines must come out through the router.

use crate::idm::Idm;

/// One command of an IDM and the line that answers it, members' names masked as `M`. In a command `{cookie}` stands for the
/// cookie that the last page gave.
pub type Step = (&'static str, &'static str);

/// The rig connector on a fresh journal: every operation, every error of its own, and the framework's (WIRE 5.1).
pub const RIG: &[Step] = &[
    ("validate", "ok"),
    ("test", "ok"),
    (
        "schema",
        "ok 1 object classes \
         __ACCOUNT__(__NAME__:String:REQUIRED,\
         __PASSWORD__:GuardedString:NOT_READABLE:NOT_RETURNED_BY_DEFAULT,mail:String,\
         role:String:MULTIVALUED,servedBy:String)",
    ),
    ("get nobody", "ok absent"),
    ("search", "ok 0 cookie=null"),
    ("token", "ok 0"),
    ("create name=u1 mail=a@x role=r1 role=r2 password=pw", "ok u1"),
    ("create name=u1", "err RemoteWrappedException(AlreadyExistsException): account u1 exists"),
    (
        "create mail=nameless",
        "err RemoteWrappedException(InvalidAttributeValueException): an account needs a name",
    ),
    ("create name=u2 mail=b@x", "ok u2"),
    ("create name=u3 mail=c@y note=hello%20world", "ok u3"),
    ("get u1", "ok u1 mail=a@x role=r1|r2 servedBy=M"),
    ("update u1 mail=new@x", "ok u1"),
    ("update u1 note=", "ok u1"),
    (
        "update nobody mail=x",
        "err RemoteWrappedException(UnknownUidException): Object with Uid 'Attribute: {Name=__UID__, \
         Value=[nobody]}' and ObjectClass 'ObjectClass: __ACCOUNT__' does not exist!",
    ),
    ("add u1 role=r3 role=r4", "ok u1"),
    (
        "add nobody role=r3",
        "err RemoteWrappedException(UnknownUidException): Object with Uid 'Attribute: {Name=__UID__, \
         Value=[nobody]}' and ObjectClass 'ObjectClass: __ACCOUNT__' does not exist!",
    ),
    ("remove u1 role=r1 role=r3", "ok u1"),
    (
        "remove nobody role=r3",
        "err RemoteWrappedException(UnknownUidException): Object with Uid 'Attribute: {Name=__UID__, \
         Value=[nobody]}' and ObjectClass 'ObjectClass: __ACCOUNT__' does not exist!",
    ),
    ("get u1", "ok u1 mail=new@x note= role=r2|r4 servedBy=M"),
    ("auth u1 pw", "ok u1"),
    ("auth u1 wrong", "err RemoteWrappedException(InvalidPasswordException): wrong user name or password"),
    ("auth nobody pw", "err RemoteWrappedException(InvalidPasswordException): wrong user name or password"),
    ("update u1 password=changed", "ok u1"),
    ("auth u1 changed", "ok u1"),
    ("resolve u2", "ok u2"),
    ("resolve nobody", "err RemoteWrappedException(UnknownUidException): no account nobody"),
    ("search", "ok 3 cookie=null u1 u2 u3"),
    (
        "search rows",
        "ok 3 cookie=null [u1 mail=new@x note= role=r2|r4 servedBy=M] [u2 mail=b@x servedBy=M] [u3 \
         mail=c@y note=hello world servedBy=M]",
    ),
    ("search uid=u2 rows", "ok 1 cookie=null [u2 mail=b@x servedBy=M]"),
    ("search uid=nobody", "ok 0 cookie=null"),
    ("search mail^=b", "ok 1 cookie=null u2"),
    ("search mail$=y", "ok 1 cookie=null u3"),
    ("search role~=r", "ok 0 cookie=null"),
    ("search mail>b", "ok 3 cookie=null u1 u2 u3"),
    ("search any mail=b@x mail=c@y", "ok 2 cookie=null u2 u3"),
    ("search mail^=b mail$=y", "ok 0 cookie=null"),
    ("search !mail=b@x", "ok 2 cookie=null u1 u3"),
    (
        "search attrs=mail,role rows",
        "ok 3 cookie=null [u1 mail=new@x role=r2|r4] [u2 mail=b@x] [u3 mail=c@y]",
    ),
    ("search sort=-mail", "ok 3 cookie=null u1 u2 u3"),
    ("search page=2", "ok 2 cookie=M:2 u1 u2"),
    ("search page=2 cookie={cookie}", "ok 1 cookie=null u3"),
    (
        "search cookie=elsewhere:2",
        "err RemoteWrappedException(InvalidAttributeValueException): paged search cookie of elsewhere \
         sent to M",
    ),
    ("search stop=1", "ok 1 cookie=none cancelled u1"),
    ("script hello%20there", "ok M:hello there"),
    ("size 0", "ok 0"),
    ("size 200000", "ok 200000"),
    ("token", "ok 8"),
    ("sync", "err RemoteWrappedException(NullPointerException): Parameter 'value' must not be null."),
    ("sync 0", "ok 8 none CREATE:u1 CREATE:u2 CREATE:u3 UPDATE:u1 UPDATE:u1 UPDATE:u1 UPDATE:u1 UPDATE:u1"),
    ("sync 5", "ok 3 none UPDATE:u1 UPDATE:u1 UPDATE:u1"),
    ("sync 10", "ok 0 none"),
    (
        "sync s:text",
        "err RemoteWrappedException(InvalidAttributeValueException): a token is a Long, not text",
    ),
    ("delete u2", "ok"),
    (
        "delete u2",
        "err RemoteWrappedException(UnknownUidException): Object with Uid 'Attribute: {Name=__UID__, \
         Value=[u2]}' and ObjectClass 'ObjectClass: __ACCOUNT__' does not exist!",
    ),
    ("get u2", "ok absent"),
    ("sync 10", "ok 0 none"),
    ("class group", "ok group"),
    ("search", "ok 2 cookie=null u1 u3"),
    ("create name=g1", "ok g1"),
    ("class __ACCOUNT__", "ok __ACCOUNT__"),
    ("test", "ok"),
];

/// The published CSV connector on [`crate::hr`]: reads only, so it can be repeated on one file.
pub const CSV: &[Step] = &[
    ("validate", "ok"),
    ("test", "ok"),
    (
        "schema",
        "ok 1 object classes \
         __ACCOUNT__(__NAME__:String:REQUIRED,__UID__:String,department:String,email:String,\
         firstName:String,lastName:String,manager:String,title:String)",
    ),
    (
        "search rows",
        "ok 3 cookie=MA== [bjensen department=Product Development email=bjensen@example.com \
         firstName=Barbara lastName=Jensen manager=scarter title=Engineer, senior uid=bjensen] [scarter \
         department=Human Resources email=scarter@example.com firstName=Steven lastName=Carter \
         title=Head of \"people\" uid=scarter] [jvalles department=Sales email=jvalles@example.com \
         firstName=Johanna lastName=Valles manager=scarter title=Account manager uid=jvalles]",
    ),
    (
        "search uid=scarter rows",
        "ok 1 cookie=MA== [scarter department=Human Resources email=scarter@example.com \
         firstName=Steven lastName=Carter title=Head of \"people\" uid=scarter]",
    ),
    (
        "search lastName^=J rows",
        "ok 1 cookie=MA== [bjensen department=Product Development email=bjensen@example.com \
         firstName=Barbara lastName=Jensen manager=scarter title=Engineer, senior uid=bjensen]",
    ),
    ("search any department=Sales uid=scarter", "ok 2 cookie=MA== scarter jvalles"),
    ("search !lastName=Jensen", "ok 2 cookie=MA== scarter jvalles"),
    (
        "search attrs=lastName rows",
        "ok 3 cookie=MA== [bjensen lastName=Jensen] [scarter lastName=Carter] [jvalles lastName=Valles]",
    ),
    ("search page=2", "ok 2 cookie=Mg== bjensen scarter"),
    ("search stop=1", "ok 1 cookie=none cancelled bjensen"),
    (
        "get bjensen",
        "ok bjensen department=Product Development email=bjensen@example.com firstName=Barbara \
         lastName=Jensen manager=scarter title=Engineer, senior uid=bjensen",
    ),
    ("get nobody", "ok absent"),
    (
        "auth bjensen x",
        "err RemoteWrappedException(ConfigurationException): Password column must be defined and exist \
         in the CSV.",
    ),
    ("resolve bjensen", "ok bjensen"),
];

/// The answer to `connectors 2`.
pub const CONNECTORS: &str = "ok 2 org.openidentityplatform.openicf.connectors.csvfile-connector/1.8.0/\
    org.forgerock.openicf.csvfile.CSVFileConnector rig.connector/1.0.0.0/rig.RigConnector";

/// Runs `steps` on the facade in use and describes each that answered otherwise.
pub fn differences(idm: &mut Idm, steps: &[Step], members: &[&str]) -> Vec<String> {
    let answers = answers(idm, steps.iter().map(|(command, _)| *command));
    let compared = steps.iter().zip(answers).map(|((command, expected), answer)| {
        let masked = mask(&answer, members);
        (masked != *expected).then(|| format!("`{command}`\n  expected `{expected}`\n  answered `{masked}`"))
    });
    compared.flatten().collect()
}

/// The answers to `commands` on the facade in use; `{cookie}` in a command stands for the cookie that the last page gave.
pub fn answers<'a>(idm: &mut Idm, commands: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut cookie = String::new();
    let answer = |command: &str| {
        let answer = idm.ask(&command.replace("{cookie}", &cookie));
        if let Some(found) = answer.split(' ').find_map(|w| w.strip_prefix("cookie=")) {
            cookie = found.to_owned();
        }
        answer
    };
    commands.map(answer).collect()
}

/// The line with each whole word that is a member's name replaced by `M`.
pub fn mask(line: &str, members: &[&str]) -> String {
    let mut masked = String::new();
    let mut word = String::new();
    for c in line.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        masked.push_str(if members.contains(&word.as_str()) { "M" } else { &word });
        word.clear();
        masked.push(c);
    }
    masked.pop();
    masked
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn only_whole_words_are_masked() {
        assert_eq!(mask("ok n1:2 servedBy=n2 n11 xn1", &["n1", "n2"]), "ok M:2 servedBy=M n11 xn1");
    }
}
