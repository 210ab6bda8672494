//! Runs a document.

use std::time::Duration;

use super::blocks::{Block, Kind, Step};
use super::compare::fits;
use super::rig::wait_until;
use super::shell::Shell;

/// The most time until what is to be seen eventually is seen, on a slow and busy machine.
const EVENTUALLY_BOUND: Duration = Duration::from_secs(120);

/// Runs these blocks in their order.
pub(super) fn run(shell: &mut Shell, blocks: &[Block]) {
    for block in blocks {
        let place = |line: usize| format!("{}:{line}", block.document.display());
        match &block.kind {
            Kind::Run(steps) => steps.iter().for_each(|step| run_step(shell, step, &place(step.line))),
            Kind::File { name, text } => shell.write(name, text, &place(block.line)),
            Kind::Shown { .. } => {}
        }
    }
}

fn run_step(shell: &mut Shell, step: &Step, place: &str) {
    let mut outcome = shell.run(&step.command, place);
    if step.eventually {
        wait_until(&format!("{place}: {}", step.command), EVENTUALLY_BOUND, || {
            let is_there = is_as_said(shell, step, &outcome);
            if !is_there {
                let again = shell.run(&step.command, place);
                if again != outcome {
                    println!("{place}: {again:?}");
                }
                outcome = again;
            }
            is_there
        });
    }
    let (printed, code) = &outcome;
    assert!(
        is_as_said(shell, step, &outcome),
        "{place}: `{}` should end with {}{}\nand ended with {code}:\n{}",
        step.command,
        step.exit,
        step.prints.as_ref().map_or(String::new(), |prints| format!(":\n{}", prints.lines.join("\n"))),
        printed.join("\n")
    );
}

fn is_as_said(shell: &Shell, step: &Step, (printed, code): &(Vec<String>, i32)) -> bool {
    let fits_here = |prints: &super::blocks::Prints| {
        let lines = prints.lines.iter().map(|line| shell.here(line)).collect();
        fits(&super::blocks::Prints { lines, ..*prints }, printed)
    };
    *code == step.exit && step.prints.as_ref().is_none_or(fits_here)
}
