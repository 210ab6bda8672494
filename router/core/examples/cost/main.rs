//! What an event costs the engine's owner: `cargo run --release -p rcs-core --example cost -- [get|tick|flat|frames]`.
//!
//! - `get N OPEN`: N calls of `get` beside so many open ones, request to answer, one after the other. Under callgrind, with two values of N, the difference is
//!   the instructions of one call; the allocations of one call are printed.
//! - `tick`: the time of one tick with 65,536 open calls, 1,024 members and 100 groups.
//! - `flat`: the time of one `get` with 10 and with 65,536 other calls open.
//! - `scale`: what members and groups cost (100 in 10, 1,000 in 100, 10,000 in 1,000): the copy of the cluster state, the view, a mark, a call.
//! - `frames`: the time that the worst frame of each kind costs its socket's reading task, and the owner.
#![allow(clippy::disallowed_methods, reason = "it measures, and nothing depends on what")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot be made ends at once")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example has no other output")]

mod frames;
mod scale;
mod scene;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rcs_core::engine::Event;

use self::scene::Scene;

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let arguments: HashMap<usize, String> = std::env::args().enumerate().collect();
    let number = |at: usize| arguments.get(&at).and_then(|text| text.parse::<usize>().ok());
    match arguments.get(&1).map(String::as_str) {
        Some("get") => {
            let mut scene = Scene::new(4, 1, 1);
            (0..number(3).unwrap_or(0)).for_each(|_| scene.open(0));
            scene.world.sent.clear();
            (0..number(2).unwrap_or(1_000)).for_each(|_| scene.call());
        }
        Some("tick") => {
            let mut scene = Scene::new(number(3).unwrap_or(1_024), number(4).unwrap_or(100), 100);
            (0..number(2).unwrap_or(65_000)).for_each(|caller| scene.open(caller));
            scene.world.sent.clear();
            scene.world.keeps = false;
            let ticks = (0..21).map(|_| {
                scene.now = scene.now.max(scene.engine.next_wake().unwrap());
                let since = Instant::now();
                scene.engine.apply(Event::Wake, scene.now, &mut scene.world);
                since.elapsed()
            });
            let ticks: Vec<Duration> = ticks.collect();
            let (longest, mean) =
                (ticks.iter().max().unwrap(), ticks.iter().sum::<Duration>() / ticks.len() as u32);
            println!(
                "{} calls open: tick median {:?}, mean {mean:?}, longest {longest:?}",
                scene.engine.report().calls,
                median(ticks.clone())
            );
        }
        Some("flat") => {
            for open in [10, 65_000] {
                let mut scene = Scene::new(4, 1, 1);
                (0..open).for_each(|_| scene.open(0));
                scene.world.sent.clear();
                let rounds = (0..21).map(|_| {
                    let since = Instant::now();
                    (0..2_000).for_each(|_| scene.call());
                    since.elapsed() / 2_000
                });
                let rounds: Vec<Duration> = rounds.collect();
                println!("{open} calls open: one get {:?}", median(rounds));
            }
        }
        Some("scale") => scale::measure(),
        Some("frames") => frames::measure(),
        _ => println!("usage: cost get [N OPEN] | tick [CALLS MEMBERS GROUPS] | flat | scale | frames"),
    }
}
