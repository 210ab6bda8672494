//! The event stream: what is agreed at one router is seen at all, a client goes on at another router, and nobody is held up by readers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use rcs_rig::metrics::Metrics;
use rcs_rig::process::Process;
use rcs_rig::scripted::validate_request;
use rcs_rig::wait::wait_until;
use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::three;
use crate::support::{PATIENCE, Router, member, provider, router, run, scratch};

/// Streams that one network may have at a router.
const STREAMS_OF_NETWORK: usize = 8;

/// Changes of a member's mark in a row. After an odd number of them the member is disabled.
const CHANGES: usize = 21;

/// One event.
#[derive(Debug)]
struct Event {
    id: String,
    kind: String,
    data: Value,
}

/// A client of the event stream.
struct Stream {
    status: u16,
    reader: BufReader<TcpStream>,
}

impl Stream {
    /// Asks for events; as a client of HTTP/1.0 it gets them as they are, to the end of the connection.
    fn open(admin: SocketAddr, query: &str, known: Option<&str>) -> Self {
        let mut socket = TcpStream::connect(admin).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let known = known.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!("GET /v1/events{query} HTTP/1.0\r\nHost: {admin}\r\n{known}\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Self { status, reader }
    }

    /// A stream that goes on from now, after its first event.
    fn follow(router: &Router) -> Self {
        let mut stream = Self::open(router.admin, "", None);
        assert_eq!(stream.next().expect("the stream begins").kind, "start");
        stream
    }

    /// The next event; none at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event { id: String::new(), kind: String::new(), data: Value::Null };
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("event", kind)) => event.kind = kind.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                _ if !event.kind.is_empty() => return Some(event),
                // A heartbeat, or the line behind it.
                _ => {}
            }
        }
    }

    /// The first event of this kind that is wanted; what came before is passed over.
    #[track_caller]
    fn until(&mut self, kind: &str, is_wanted: impl Fn(&Value) -> bool) -> Event {
        let mut seen = Vec::new();
        while let Some(event) = self.next() {
            if event.kind == kind && is_wanted(&event.data) {
                return event;
            }
            seen.push(event);
        }
        panic!("the stream ended without the {kind} event: {seen:?}")
    }

    /// All events to the end of the stream.
    fn rest(mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The answer's body, for a refusal.
    fn body(mut self) -> Value {
        let mut text = String::new();
        self.reader.read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }
}

/// What concerns another group is left out; what may concern the group never is.
#[test]
fn one_group_is_followed_and_a_wrong_name_is_refused() {
    let alone = crate::changes::Alone::start("cluster");
    for words in [
        "group create hr --algorithm failover --member n2",
        "group create crm --algorithm failover --member n1",
        "member drain g n1 --force",
        "member drain hr n2 --force",
    ] {
        assert_eq!(alone.ask(words).code, Some(0), "{words}");
    }
    let lines = |words: &str| -> Vec<String> {
        let shown = run(&[
            &words.split(' ').collect::<Vec<_>>()[..],
            &["--server", &format!("http://{}", alone.admin())],
        ]
        .concat());
        assert_eq!(shown.code, Some(0), "{shown:?}");
        shown.stdout.lines().map(str::to_owned).collect()
    };
    wait_until("the members are seen to be drained", PATIENCE, || {
        let all = lines("events").join("\n");
        all.contains("member n1 is drain") && all.contains("member n2 is drain")
    });
    let of_group = lines("events --group hr").join("\n");
    for line in ["create group hr", "mark member n2 as draining", "member n2 is drain", "configure 2 members"]
    {
        assert!(of_group.contains(line), "{line}:\n{of_group}");
    }
    for line in ["create group crm", "mark member n1", "member n1 is"] {
        assert!(!of_group.contains(line), "{line}:\n{of_group}");
    }
    let wrong = alone.ask("events --group nobody");
    assert!(wrong.code == Some(65) && wrong.stderr.contains("there is no group named"), "{wrong:?}");
    // An open stream is counted.
    let open = || Metrics::scrape(alone.admin()).sum("rcs_event_streams", &[]);
    assert_eq!(open(), 0.0);
    let mut stream = Stream::open(alone.admin(), "?group=hr", None);
    assert_eq!((stream.next().map(|event| event.kind), open()), (Some("start".to_owned()), 1.0));
    assert_eq!(alone.ask("member enable g n1").code, Some(0));
    assert_eq!(alone.ask("member enable hr n2").code, Some(0));
    let event = stream.until("change", |_| true);
    assert_eq!(event.data["line"], "mark member n2 as enabled");
    drop(stream);
    wait_until("the stream is given back", PATIENCE, || open() == 0.0);
}

fn is_mark(mark: &'static str) -> impl Fn(&Value) -> bool {
    move |data| data["line"] == format!("mark member n1 as {mark}")
}

#[test]
fn a_change_is_seen_at_all_routers_and_a_client_goes_on_at_another_one() {
    let (mut cluster, _members) = three();
    let mut streams: Vec<Stream> = (0..3).map(|place| Stream::follow(cluster.router(place))).collect();
    let told = cluster.ask(1, "member drain g n1");
    assert_eq!(told.code, Some(0), "{told:?}");
    let mut seen = Vec::new();
    for stream in &mut streams {
        let event = stream.until("change", is_mark("draining"));
        let data = &event.data;
        assert_eq!((data["action"].as_str(), data["author"].as_str()), (Some("mark"), Some("operator")));
        assert_eq!((data["who"].as_str(), data["from"].as_str()), (Some("no token"), Some("127.0.0.1")));
        assert!(data["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{data}");
        seen.push((data["revision"].as_u64().unwrap(), event.id));
    }
    let (revision, _) = seen[0];
    assert!(seen.iter().all(|(other, id)| *other == revision && id.starts_with(&format!("{revision}-"))));
    for stream in &mut streams {
        stream.until("member", |data| data["member"] == "n1" && data["state"] == "draining");
    }

    // The client of the leader loses it, and something is changed before the client is back.
    let leader = cluster.leader(1);
    let (survivor, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let (_, known) = seen.swap_remove(leader);
    cluster.kill(leader);
    // Ends with the router.
    streams.remove(leader).rest();
    wait_until("another router leads", PATIENCE, || cluster.leader(survivor) != leader);
    for words in ["member disable g n1", "member enable g n1", "member drain g n1"] {
        let told = cluster.ask(survivor, words);
        assert_eq!(told.code, Some(0), "{words}: {told:?}");
    }
    let last = cluster.status(survivor)["revision"].as_u64().unwrap();
    let mut back = Stream::open(cluster.router(other).admin, "", Some(&known));
    let gap = back.until("gap", |_| true);
    assert_eq!(gap.data["of"], "sightings", "{gap:?}");
    let mut revisions = Vec::new();
    while revisions.last() != Some(&last) {
        revisions.push(back.until("change", |_| true).data["revision"].as_u64().unwrap());
    }
    assert_eq!(revisions, (revision + 1..=last).collect::<Vec<_>>(), "none is missed, none comes twice");
    // Whoever stayed saw the same changes, and the change of the leader.
    for stream in &mut streams {
        stream.until("leader", |data| {
            data["leader"].as_u64().is_some_and(|number| number != leader as u64 + 1)
        });
    }
    // From a place that this cluster never had.
    let ahead = format!("{}-00000000-0", last + 1_000);
    let lost = Stream::open(cluster.router(other).admin, "", Some(&ahead)).until("gap", |_| true);
    assert_eq!(lost.data["of"], "changes", "{lost:?}");
    let at: u64 = lost.id.split('-').next().unwrap_or_default().parse().unwrap();
    assert!((last..last + 1_000).contains(&at), "{lost:?}");
}

#[test]
fn a_router_alone_in_memory_tells_what_it_sees() {
    let folder = scratch();
    let members = [member("n1"), member("n2")];
    let [first, second] = &members;
    let router = Router::serve(&provider(&folder, &[("n1", first), ("n2", second)]), &["--dev"]);
    router.await_ready();
    wait_until("both members are up", PATIENCE, || router.get("/readyz").1.contains(r#""members_up":2"#));
    let mut stream = Stream::follow(&router);
    drop(members);
    let down = stream.until("member", |data| data["state"] == "down");
    assert!(down.data["line"].as_str().is_some_and(|line| line.contains(" is down")), "{down:?}");
    let out = stream.until("group", |data| data["state"] == "out");
    assert_eq!(out.data["group"], "g");
    // The same router knows what this client has.
    let again = Stream::open(router.admin, "?follow=false", Some(&down.id)).rest();
    assert!(again.iter().any(|event| event.id == out.id), "{again:?}");
    assert!(again.iter().all(|event| event.kind == "start" || event.id != down.id), "{again:?}");
    let all = Stream::open(router.admin, "?follow=false", None).rest();
    let ups = all.iter().filter(|event| event.data["state"] == "up").count();
    assert!(ups >= 2 && all.iter().any(|event| event.id == down.id), "{all:?}");
    for (query, known) in
        [("", Some("no-id")), ("?since=x", None), ("?member=n1", None), ("?follow=maybe", None)]
    {
        let refused = Stream::open(router.admin, query, known);
        assert_eq!(refused.status, 400, "{query} {known:?}");
        let problem = refused.body();
        assert!(problem["fix"].is_string() && problem["detail"].is_string(), "{problem}");
    }
    let shown = run(&["events", "--server", &format!("http://{}", router.admin)]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("  member      member n1 is up, with "), "{shown:?}");
    let refused = run(&["events", "--since", "x", "--server", &format!("http://{}", router.admin)]);
    assert!(refused.code == Some(64) && refused.stderr.contains("id of an event"), "{refused:?}");
    assert_eq!(run(&["events", "--follow", "--server", "http://127.0.0.1:1"]).code, Some(69));
}

#[test]
fn streams_are_few_delay_nobody_and_end_before_the_drain_does() {
    let folder = scratch();
    let (mut first, second) = (member("n1"), member("n2"));
    let mut router = Router::serve(&provider(&folder, &[("n1", &first), ("n2", &second)]), &["--dev"]);
    router.await_ready();
    let mut streams: Vec<Stream> = (0..STREAMS_OF_NETWORK).map(|_| Stream::follow(&router)).collect();
    let refused = Stream::open(router.admin, "", None);
    assert_eq!(refused.status, 503);
    let problem = refused.body();
    assert_eq!(problem["type"], "urn:rcs-router:problem:too_many", "{problem}");
    assert!(problem["fix"].is_string(), "{problem}");
    assert_eq!(router.get("/v1/status").0, 200, "open streams take no place of a request");
    drop(streams.pop());
    let mut last = None;
    wait_until("a client that has left leaves its place", PATIENCE, || {
        let stream = Stream::open(router.admin, "", None);
        let has_begun = stream.status == 200;
        last = Some(stream);
        has_begun
    });
    streams.extend(last);
    // The first client reads nothing from here on; the others see each change.
    let marks = ["disable", "enable"];
    for round in 0..CHANGES {
        let path = format!("/v1/groups/g/members/n2/{}?force=true", marks[round % 2]);
        let (status, body) = rcs_rig::metrics::http_post(router.admin, &path, None);
        assert_eq!(status, 200, "{body}");
    }
    for stream in &mut streams[1..] {
        for round in 0..CHANGES {
            let state = ["disabled", "enabled"][round % 2];
            stream.until("member", |data| data["state"] == state);
        }
    }

    let mut idm = router.idm("g");
    idm.call(&validate_request());
    first.inbox.operation("the call");
    let asked = Instant::now();
    router.process.signal(Signal::TERM);
    for (place, stream) in streams.into_iter().enumerate() {
        let end = stream.rest().pop().map(|event| event.kind);
        assert_eq!(end.as_deref(), Some("end"), "stream {place}");
    }
    assert!(router.process.is_running(), "the drain still waits for the call, after {:?}", asked.elapsed());
    assert_eq!(Stream::open(router.admin, "", None).status, 503, "no stream begins any more");
    router.process.signal(Signal::INT);
    assert!(router.process.wait(PATIENCE).success());
}

#[test]
fn the_command_goes_on_at_the_next_router_and_ends_in_order() {
    let (mut cluster, _members) = three();
    let servers: Vec<String> =
        (0..3).map(|place| format!("http://{}", cluster.router(place).admin)).collect();
    let mut command = router(&["events", "--follow", "-o", "json"]);
    command.args(["--server", &servers.join(",")]);
    let mut follower = Process::start("events", command);
    let line = |follower: &Process, reason: &str| -> Value {
        serde_json::from_str(&follower.read_line(reason, PATIENCE)).expect("each line is an object")
    };
    let start = line(&follower, "the stream begins");
    assert_eq!((&start["event"], &start["data"]["router"]), (&"start".into(), &1.into()), "{start}");
    let mut revision = start["data"]["revision"].as_u64().unwrap();
    cluster.kill(0);
    for words in ["member drain g n1", "member undrain g n1"] {
        wait_until("the others agree on it", PATIENCE, || cluster.ask(1, words).code == Some(0));
    }
    let last = cluster.status(1)["revision"].as_u64().unwrap();
    let mut routers = Vec::new();
    while revision < last {
        let event = line(&follower, "the change is shown");
        if event["event"] == "start" {
            routers.push(event["data"]["router"].clone());
        } else if event["event"] == "change" {
            assert_eq!(event["data"]["revision"], revision + 1, "none is missed, none comes twice: {event}");
            revision += 1;
        }
    }
    assert_eq!(routers, [Value::from(2)], "it goes on at the next router");
    follower.signal(Signal::INT);
    let status = follower.wait(PATIENCE);
    assert_eq!(status.code(), Some(0), "{status}\n{follower}");
    // What is remembered, for people.
    let shown = run(&["events", "--server", &servers[1]]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("mark member n1 as draining (revision "), "{shown:?}");
    // Nobody reads any more: the command ends by itself.
    let mut unread = router(&["events", "--follow", "--since", "0", "--server", &servers[1]]);
    unread.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = unread.spawn().unwrap();
    drop(child.stdout.take());
    wait_until("the command ends without a reader", PATIENCE, || {
        cluster.ask(1, "member drain g n1");
        cluster.ask(1, "member undrain g n1");
        child.try_wait().unwrap().is_some_and(|status| status.success())
    });
}
