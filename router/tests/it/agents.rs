//! What agents tell over the admin address, and what strangers try there (P10, P12).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rcs_proto::limits::{MANIFEST_BODY_BYTES_MAX, MANIFEST_FILES_MAX};
use rcs_proto::manifest::{
    Challenge, Content, Digest, FileEntry, FileManifest, HEAD_HEADER, Nonce, PROOF_HEADER, ProofKey, Report,
    ReportedSet, Root,
};
use rcs_rig::metrics::http_send;
use rcs_rig::scripted::FakeMember;
use rcs_rig::wait::wait_until;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PATIENCE, Router, file, member, provider, scratch};

/// The key that test documents give every member.
const KEY: &str = "changeit";
const JSON: &str = "Content-Type: application/json\r\n";
/// Longest wait for something that the router gives up after seconds.
const LATE: Duration = PATIENCE;
/// What the router may grow by, whatever strangers send: the two long reports that it takes at a time, and some. It was 5 MiB;
/// with bodies kept in the pieces in which they come, 46 MiB.
const GROWTH_MAX: u64 = 24 << 20;

struct Site {
    router: Router,
    _members: [FakeMember; 2],
    _folder: TempDir,
}

impl Site {
    fn start(config: &str) -> Self {
        let folder = scratch();
        let members = [member("n1"), member("n2")];
        let document = provider(&folder, &[("n1", &members[0]), ("n2", &members[1])]);
        let config = file(&folder, "router.toml", config);
        let router = Router::serve(&document, &["--dev", "--config", &config]);
        Self { router, _members: members, _folder: folder }
    }

    fn nonce(&self, member: &str) -> Nonce {
        let (status, body) = self.router.get(&format!("/v1/members/{member}/challenge"));
        assert_eq!(status, 200, "{body}");
        Challenge::decode(body.as_bytes()).unwrap().nonce
    }

    /// Sends a report as an older agent does: the head proves nothing.
    fn post(&self, member: &str, proof: &str, body: &[u8]) -> (u16, String) {
        self.post_with(member, &format!("{PROOF_HEADER}: {proof}\r\n"), body)
    }

    fn post_with(&self, member: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let headers = format!("{JSON}{headers}");
        http_send(self.router.admin, &format!("/v1/members/{member}/manifest"), &headers, body)
    }

    /// As an agent does it.
    fn report(&self, member: &str, set: ReportedSet) -> (u16, String) {
        let nonce = self.nonce(member);
        let body = body(member, nonce, set);
        self.post_with(member, &proved(&nonce, member, &body), &body)
    }

    /// A field of a member of the group.
    fn row(&self, member: &str, field: &str) -> Value {
        let status: Value = serde_json::from_str(&self.router.get("/v1/groups/g/bundles").1).unwrap();
        let rows = status["members"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == member).unwrap()[field].clone()
    }

    fn await_standing(&self, member: &str, standing: &str) {
        wait_until(&format!("{member} {standing}\n{}", self.router.process), PATIENCE, || {
            self.row(member, "standing") == standing
        });
    }
}

fn body(member: &str, nonce: Nonce, set: ReportedSet) -> Vec<u8> {
    Report { member: member.to_owned(), nonce, agent: "a test".to_owned(), set }.encode().unwrap()
}

/// The headers that prove a report.
fn proved(nonce: &Nonce, member: &str, body: &[u8]) -> String {
    let (head, proof) = (head(nonce, member, body.len()), prove(KEY, nonce, member, body));
    format!("{head}{PROOF_HEADER}: {proof}\r\n")
}

fn head(nonce: &Nonce, member: &str, bytes: usize) -> String {
    format!("{HEAD_HEADER}: {}\r\n", ProofKey::of_key(KEY).prove_head(nonce, member, bytes as u64))
}

fn prove(key: &str, nonce: &Nonce, member: &str, body: &[u8]) -> String {
    ProofKey::of_key(key).prove(nonce, member, body).to_string()
}

fn manifest(files: &[(&str, &str)]) -> FileManifest {
    let entry = |(path, text): &(&str, &str)| FileEntry {
        root: Root::Lib,
        path: (*path).to_owned(),
        content: Content::File { sha256: Digest::of(text.as_bytes()), bytes: text.len() as u64 },
        bundle: None,
        link: None,
    };
    FileManifest::of(files.iter().map(entry).collect()).unwrap()
}

fn whole(files: &[(&str, &str)]) -> ReportedSet {
    ReportedSet::Whole(manifest(files))
}

/// A member serves once its agent has reported, is quarantined when a script of it differs, and is back when it is put right.
#[test]
fn files_that_differ_keep_a_member_out_until_they_are_put_right() {
    let site = Site::start("[group.g.bundles]\nreports = \"require_agent\"\nnone_left = \"fail_closed\"\n");
    site.await_standing("n1", "quarantined");
    assert_eq!(site.row("n1", "cause"), "missing_agent_report");
    let (right, wrong) = (&[("a.groovy", "1")][..], &[("a.groovy", "2")][..]);
    for member in ["n1", "n2"] {
        assert_eq!(site.report(member, ReportedSet::Unchanged(manifest(right).digest())).0, 409, "{member}");
        let (status, answer) = site.report(member, whole(right));
        assert!(status == 200 && answer.contains(&manifest(right).digest().to_string()), "{answer}");
        assert_eq!(site.report(member, ReportedSet::Unchanged(manifest(right).digest())).0, 200, "{member}");
        site.await_standing(member, "matching");
    }
    assert_eq!(site.report("n2", whole(wrong)).0, 200);
    site.await_standing("n2", "quarantined");
    let item = site.row("n2", "difference")[0].clone();
    assert_eq!(
        (&item["change"], &item["root"], &item["path"]),
        (&"changed".into(), &"lib".into(), &"a.groovy".into())
    );
    assert_eq!(item["old"]["digest"], Digest::of(b"1").to_string());
    assert_eq!(item["new"]["digest"], Digest::of(b"2").to_string());
    site.router.await_log("lib/a.groovy");
    assert_eq!(site.report("n2", whole(right)).0, 200);
    site.await_standing("n2", "matching");
}

/// Each is refused with a reason, and changes nothing.
#[test]
fn what_strangers_report_is_refused_with_a_reason() {
    let site = Site::start("");
    let set = || whole(&[("a.groovy", "1")]);
    let nonce = site.nonce("n1");
    let good = body("n1", nonce, set());
    let proof = prove(KEY, &nonce, "n1", &good);
    let mut tampered = good.clone();
    let at = tampered.windows(8).position(|bytes| bytes == b"a.groovy").unwrap();
    tampered[at] = b'b';

    let of_n2 = site.nonce("n2");
    let others_nonce = body("n1", of_n2, set());
    let others_name = body("n2", nonce, set());
    let invented = Nonce::from([7; 16]);
    let made_up = body("n1", invented, set());
    for (case, member, proof, body, status, part) in [
        ("another key", "n1", prove("guess", &nonce, "n1", &good), &good, 401, "key of this member"),
        ("no digits", "n1", "guess".to_owned(), &good, 401, "proof is wrong"),
        ("for another member", "n2", prove(KEY, &nonce, "n2", &good), &good, 400, "new challenge"),
        ("other bytes than proved", "n1", proof.clone(), &tampered, 401, "proof is wrong"),
        (
            "another's challenge",
            "n1",
            prove(KEY, &of_n2, "n1", &others_nonce),
            &others_nonce,
            400,
            "new challenge",
        ),
        ("no challenge of ours", "n1", prove(KEY, &invented, "n1", &made_up), &made_up, 400, "new challenge"),
        ("nobody", "n9", proof.clone(), &good, 404, "no member is named"),
    ] {
        let (found, answer) = site.post(member, &proof, body);
        assert!(found == status && answer.contains(part), "{case}: {found} {answer}");
    }
    let path = "/v1/members/n1/manifest";
    let (status, answer) = http_send(site.router.admin, path, JSON, &good);
    assert!(status == 401 && answer.contains(PROOF_HEADER), "{answer}");
    assert_eq!(site.router.get("/v1/members/n9/challenge").0, 404);
    assert_eq!(site.router.get(path).0, 405);

    assert_eq!(site.post("n1", &proof, &good).0, 200, "nothing of that used the challenge up");
    let (status, answer) = site.post("n1", &proof, &good);
    assert!(status == 400 && answer.contains("used before"), "a replay: {answer}");

    // A key is no licence: what it vouches for must be a manifest.
    let nonce = site.nonce("n1");
    let others_name = String::from_utf8(others_name).unwrap();
    for (case, body, status, part) in [
        ("not JSON", "{".to_owned(), 400, "no nonce"),
        ("no nonce", "{}".to_owned(), 400, "no nonce"),
        ("a nonce twice", format!(r#"{{"nonce":"{nonce}","nonce":"{nonce}"}}"#), 400, "duplicate"),
        ("of another member", fresh(&site, &others_name), 400, "post it under that name"),
        ("up and out", listing(&site, &["../../etc/passwd"]), 400, "`.` or `..`"),
        ("from the root", listing(&site, &["/etc/passwd"]), 400, "`/` between names"),
        ("a line of a log", listing(&site, &["a\\nb"]), 400, "control character"),
        ("twice", listing(&site, &["a", "a"]), 400, "listed twice"),
        ("out of order", listing(&site, &["b", "a"]), 400, "out of order"),
        ("too long a path", listing(&site, &[&"x/".repeat(400)]), 400, "longer than"),
        ("an unknown field", fresh(&site, r#"{"member":"n1","x":1,"nonce":"0"}"#), 400, "unknown field"),
        ("a hundred thousand", many(&site, 100_000), 413, "longer than"),
        ("one too many", many(&site, MANIFEST_FILES_MAX + 1), 400, "more than 10000 files"),
    ] {
        let body = body.as_bytes();
        let nonce = nonce_in(body).unwrap_or(nonce);
        let (found, answer) = site.post("n1", &prove(KEY, &nonce, "n1", body), body);
        assert!(found == status && answer.contains(part), "{case}: {found} {answer}");
    }
    let found = site.row("n1", "found");
    assert!(
        found.as_str().unwrap().ends_with(&manifest(&[("a.groovy", "1")]).digest().to_string()),
        "{found}"
    );
    let told = || {
        let lines = site.router.process.stderr_lines();
        lines.iter().filter(|line| line.contains("a report of files was refused")).count()
    };
    assert_eq!(http_send(site.router.admin, path, JSON, &good).0, 401);
    site.router.await_log("the report has no proof");
    let before = told();
    for _ in 0..20 {
        assert_eq!(site.post("n1", &proof, &good).0, 400, "a replay");
        assert_eq!(http_send(site.router.admin, path, JSON, &good).0, 401);
    }
    assert_eq!(told(), before, "strangers do not fill the log");
    assert!(!site.router.process.said_on_stderr(&proof), "P9");
}

/// The text with a challenge in place of whatever nonce it has.
fn fresh(site: &Site, text: &str) -> String {
    let (before, rest) = text.split_once(r#""nonce":""#).unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    format!(r#"{before}"nonce":"{}"{after}"#, site.nonce("n1"))
}

fn nonce_in(body: &[u8]) -> Option<Nonce> {
    serde_json::from_slice::<Value>(body).ok()?["nonce"].as_str()?.parse().ok()
}

/// A report of these paths, written as no honest agent would; its digest is wrong too, which would be the last thing found.
fn listing(site: &Site, paths: &[&str]) -> String {
    let digest = Digest::of(b"");
    let file = |path: &&str| format!(r#"{{"root":"lib","path":"{path}","sha256":"{digest}","bytes":1}}"#);
    let files: Vec<String> = paths.iter().map(file).collect();
    format!(
        r#"{{"member":"n1","nonce":"{}","agent":"a","digest":"{digest}","files":[{}]}}"#,
        site.nonce("n1"),
        files.join(",")
    )
}

fn many(site: &Site, files: usize) -> String {
    let paths: Vec<String> = (0..files).map(|number| format!("{number:06}")).collect();
    listing(site, &paths.iter().map(String::as_str).collect::<Vec<_>>())
}

/// P10: whatever strangers send, and however many of them, the router grows by a bound, and probes and heartbeats come through.
#[test]
fn hostile_reports_cost_bounded_memory() {
    let site = Site::start("");
    let files: Vec<(String, String)> =
        (0..MANIFEST_FILES_MAX).map(|number| (format!("{number:06}"), String::new())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    // What an honest agent may have kept: the largest number of files.
    let set = manifest(&files);
    assert_eq!(site.report("n1", ReportedSet::Whole(set.clone())).0, 200);
    let before = site.router.process.peak_resident_bytes();
    let admin = site.router.admin;
    let tiny_chunks = b"1\r\n{\r\n".repeat(MANIFEST_BODY_BYTES_MAX);
    let junk = vec![b'['; MANIFEST_BODY_BYTES_MAX];
    thread::scope(|scope| {
        for number in 0..14 {
            let (tiny_chunks, junk) = (&tiny_chunks, &junk);
            scope.spawn(move || match number % 7 {
                0..3 => send(admin, "Transfer-Encoding: chunked", tiny_chunks),
                3..6 => send(admin, &format!("Content-Length: {}", junk.len()), junk),
                // Holds its place, and does not come to its end.
                _ => send(admin, &format!("Content-Length: {}", junk.len()), &junk[..1 << 20]),
            });
        }
        for _ in 0..20 {
            site.router.await_alive();
            let (status, answer) = site.report("n1", ReportedSet::Unchanged(set.digest()));
            assert_eq!(status, 200, "a heartbeat beside them: {answer}");
        }
    });
    let grown = site.router.process.peak_resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more than before");
    assert_eq!(site.report("n1", ReportedSet::Whole(set)).0, 200, "and a whole report, when they are gone");
}

/// Sends what nobody would want, and reads the refusal, if there is one before the connection ends.
fn send(admin: std::net::SocketAddr, length: &str, body: &[u8]) {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(LATE)).unwrap();
    stream.set_write_timeout(Some(LATE)).unwrap();
    let head = format!(
        "POST /v1/members/n1/manifest HTTP/1.1\r\nHost: x\r\n{JSON}{PROOF_HEADER}: {}\r\n{length}\r\nConnection: close\r\n\r\n",
        "0".repeat(64)
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || !answer.starts_with("HTTP/1.1 2"), "{answer}");
}

#[test]
fn a_report_that_does_not_end_or_never_fits_is_told_so() {
    let site = Site::start("");
    let say = |length: &str, body: &[u8]| {
        let mut stream = TcpStream::connect(site.router.admin).unwrap();
        stream.set_read_timeout(Some(LATE)).unwrap();
        let head = format!(
            "POST /v1/members/n1/manifest HTTP/1.1\r\nHost: x\r\n{JSON}{PROOF_HEADER}: 0\r\n{length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // It may be refused before it is all taken.
        let _ = stream.write_all(body);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    for (case, length, body, status, part) in [
        (
            "too long by its own word",
            "Content-Length: 4194305",
            &b"{"[..],
            "413",
            "longer than 4194304 bytes",
        ),
        ("without an end", "Transfer-Encoding: chunked", b"5\r\n{\"a\":\r\n", "408", "came too slowly"),
        ("shorter than it says", "Content-Length: 100", b"{", "408", "came too slowly"),
        ("no chunk", "Transfer-Encoding: chunked", b"x\r\n", "400", "broke off"),
    ] {
        let answer = say(length, body);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(part),
            "{case}: {answer}"
        );
    }
}

/// Everything that can be wrong in a head. A head is used up with its report.
#[test]
fn a_head_is_judged_before_its_report() {
    let site = Site::start("");
    let (nonce, set) = (site.nonce("n1"), whole(&[("a.groovy", "1")]));
    let report = body("n1", nonce, set.clone());
    let proof = format!("{PROOF_HEADER}: {}\r\n", prove(KEY, &nonce, "n1", &report));
    let invented = Nonce::from([7; 16]);
    for (case, head, status, part) in [
        ("of another length", head(&nonce, "n1", report.len() + 1), 401, "proof is wrong"),
        ("of another member", head(&nonce, "n2", report.len()), 401, "proof is wrong"),
        ("no head", format!("{HEAD_HEADER}: x\r\n"), 401, "proof is wrong"),
        ("no challenge of ours", head(&invented, "n1", report.len()), 400, "new challenge"),
    ] {
        // The report itself would be accepted.
        let (found, answer) = site.post_with("n1", &format!("{head}{proof}"), &report);
        assert!(found == status && answer.contains(part), "{case}: {found} {answer}");
    }
    let path = "/v1/members/n1/manifest";
    let form = format!("Content-Type: text/plain\r\n{}", proved(&nonce, "n1", &report));
    assert_eq!(http_send(site.router.admin, path, &form, &report).0, 415);
    assert_eq!(
        site.post_with("n1", &proved(&nonce, "n1", &report), &report).0,
        200,
        "none of that used it up"
    );
    let (status, answer) = site.post_with("n1", &proved(&nonce, "n1", &report), &report);
    assert!(status == 400 && answer.contains("used before"), "heard and repeated: {answer}");
    let nonce = site.nonce("n1");
    let old = body("n1", nonce, set);
    assert_eq!(site.post("n1", &prove(KEY, &nonce, "n1", &old), &old).0, 200, "an older agent");
}

/// Strangers without a key, more of them than there are places, keep no agent out of a group that serves by reports alone.
#[test]
fn slow_strangers_keep_no_agent_out() {
    let site = Site::start("[group.g.bundles]\nreports = \"require_agent\"\nnone_left = \"fail_closed\"\n");
    let admin = site.router.admin;
    let slow = |length: usize| {
        let mut stream = TcpStream::connect(admin).unwrap();
        let head = format!(
            "POST /v1/members/n1/manifest HTTP/1.1\r\nHost: x\r\n{JSON}{PROOF_HEADER}: aa\r\nContent-Length: {length}\r\n\r\n{{"
        );
        let _ = stream.write_all(head.as_bytes());
        stream
    };
    let set = whole(&[("a.groovy", "1")]);
    let digest = match &set {
        ReportedSet::Whole(files) => files.digest(),
        ReportedSet::Unchanged(digest) => *digest,
    };
    let mut strangers: Vec<TcpStream> = Vec::new();
    for round in 0..4 {
        strangers.extend((0..40).map(|number| slow(if number % 2 == 0 { 4_000_000 } else { 2_000 })));
        for member in ["n1", "n2"] {
            let (status, answer) = site.report(member, set.clone());
            assert_eq!(status, 200, "a whole report beside them, round {round}: {answer}");
            let (status, answer) = site.report(member, ReportedSet::Unchanged(digest));
            assert_eq!(status, 200, "a heartbeat beside them, round {round}: {answer}");
        }
        for stranger in &mut strangers {
            let _ = stranger.set_nonblocking(true).and_then(|()| stranger.write_all(b" "));
        }
    }
    for member in ["n1", "n2"] {
        site.await_standing(member, "matching");
    }
    site.router.await_alive();
}

/// P12: with a key that everybody knows a proof proves nothing.
#[test]
fn a_well_known_key_is_no_proof_outside_development() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let key = file(&folder, "caller.key", "a caller's key\n");
    let router = Router::serve(&document, &["--caller-key-file", &key]);
    let (status, answer) = router.get("/v1/members/n1/challenge");
    assert!(status == 403 && answer.contains("everybody knows"), "{status} {answer}");
}
