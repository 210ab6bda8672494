//! `rcs-bench drill`: chooses the drills, runs them, and prints their results.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum as _};
use rcs_cli::{Exit, Failure};
use rcs_rig::java::Java;
use tokio::signal::unix::{SignalKind, signal};

use super::members::Members;
use super::report::Done;
use super::scenes::{More, Scene, Scope};
use crate::progress::step;

/// `rcs-bench drill`
#[derive(Args)]
pub(crate) struct DrillArgs {
    /// Name of the drill, or `all`.
    #[arg(value_parser = scenes)]
    name: Scenes,
    /// Use real Java connector servers as members, and add a Java IDM to the callers.
    #[arg(long)]
    java: bool,
    /// Use rcs-nodes in client mode as members, which dial the router; for all drills but grow.
    #[arg(long, conflicts_with = "java")]
    dial: bool,
    /// Duration of each drill in minutes.
    #[arg(long, value_name = "N", conflicts_with_all = ["seconds", "short"], value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: Option<u64>,
    /// Duration of each drill in seconds.
    #[arg(long, value_name = "N", conflicts_with = "short", value_parser = clap::value_parser!(u64).range(5..=86_400))]
    seconds: Option<u64>,
    /// Run each drill for a few seconds only, short enough to check every change.
    #[arg(long)]
    short: bool,
    /// Number of kills, for leader-kill.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    kills: Option<u64>,
    /// Do the same to three processes of etcd afterwards, for leader-kill; needs etcd in PATH.
    #[arg(long)]
    etcd: bool,
    /// Seed of the random choices, to repeat an earlier run; each run prints its seed.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// The drills of one run.
#[derive(Clone)]
struct Scenes(Vec<Scene>);

fn scenes(name: &str) -> Result<Scenes, String> {
    if name == "all" {
        let all = Scene::value_variants().iter().copied();
        return Ok(Scenes(all.filter(|scene| scene.is_in_all()).collect()));
    }
    let known = || {
        let names: Vec<&str> = Scene::value_variants().iter().map(|scene| scene.label()).collect();
        format!("there is no such drill; use all, {}", names.join(", "))
    };
    Scene::from_str(name, false).map(|scene| Scenes(vec![scene])).map_err(|_| known())
}

/// The drills of the command line that can be run with such members.
fn chosen(arguments: &DrillArgs) -> Result<Vec<Scene>, Failure> {
    let with = |scene: Scene| match (arguments.dial, arguments.java) {
        (true, _) => scene.has_dialling_form(),
        (_, true) => scene.has_dialled_form(),
        _ => true,
    };
    match arguments.name.0.as_slice() {
        [scene] if !with(*scene) => Err(Exit::Usage.with(match arguments.dial {
            true => format!("{} has no form in which the members dial; leave --dial out", scene.label()),
            false => {
                format!("the members of {} are rcs-nodes in client mode; leave --java out", scene.label())
            }
        })),
        scenes => Ok(scenes.iter().copied().filter(|scene| with(*scene)).collect()),
    }
}

/// Runs them, one after the other: a line of JSON for each on standard output, a table on standard error.
pub(crate) async fn run(arguments: DrillArgs) -> Result<(), Failure> {
    let scenes = chosen(&arguments)?;
    let members = match arguments.java {
        false if arguments.dial => Members::DiallingNodes,
        false => Members::Nodes,
        true => Members::Java(Rc::new(
            tokio::task::block_in_place(|| Java::or_skip("drill --java"))
                .ok_or_else(|| Exit::Unavailable.with("--java needs Java 11 or later and Maven"))?,
        )),
    };
    let scope = match (arguments.minutes, arguments.seconds, arguments.short) {
        (Some(minutes), ..) => Scope::Long(Duration::from_secs(minutes * 60)),
        (_, Some(seconds), _) => Scope::Long(Duration::from_secs(seconds)),
        (.., true) => Scope::Short,
        _ => Scope::Normal,
    };
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    rcs_cli::tell(format_args!("seed {seed}"));
    let more = More { kills: arguments.kills, etcd: arguments.etcd };
    let mut all = Vec::new();
    let count = scenes.len();
    for (number, scene) in scenes.into_iter().enumerate() {
        step(format_args!("drill {} of {count}: {} ...", number + 1, scene.label()));
        let members = if scene.has_dialled_form() { &members } else { &Members::DiallingNodes };
        let done = perform(scene, members, scope, seed, more).await?;
        rcs_cli::say(done.json());
        rcs_cli::tell(done.row());
        all.push(done);
    }
    rcs_cli::tell(format_args!("\n{}", Done::heading()));
    all.iter().for_each(|done| rcs_cli::tell(done.row()));
    match all.iter().filter(|done| !done.passed()).count() {
        0 => Ok(()),
        failed => Err(Exit::Internal.with(format!("{failed} of {} drills failed", all.len()))),
    }
}

/// One drill; a signal breaks it off, with all that it started.
async fn perform(
    scene: Scene,
    members: &Members,
    scope: Scope,
    seed: u64,
    more: More,
) -> Result<Done, Failure> {
    let began = Instant::now();
    let broken_off = |error| Exit::Internal.with(format!("signals cannot be listened to: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(broken_off)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken_off)?;
    // A rig that cannot do its work panics with the reason; that is this drill's end, and not that of the others.
    let drill = futures_catch(scene.perform(members, scope, seed, more));
    let outcome = tokio::select! {
        outcome = drill => outcome,
        _ = terminate.recv() => return Err(Exit::Internal.with("broken off by SIGTERM")),
        _ = interrupt.recv() => return Err(Exit::Internal.with("broken off by SIGINT")),
    };
    Ok(Done { name: scene.label(), members: members.label(), seed, took: began.elapsed(), outcome })
}

/// Runs a future; what it panics with is its error.
async fn futures_catch<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, String> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |context| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(polled) => polled.map_err(|failure| failure.to_string()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                std::task::Poll::Ready(Err(text.unwrap_or("the drill panicked").to_owned()))
            }
        }
    })
    .await
}
