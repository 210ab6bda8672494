//! The drills themselves: one file each, which reads like a scenario.

mod black_hole;
mod drain;
mod flapping;
mod freeze;
mod grow;
mod hostile_mix;
mod kill;
mod leader_kill;
mod partition;
mod poison;
mod poison_configuration;
mod quorum_loss;
mod reset;
mod resource_down;
mod restart_warm_up;
mod rolling_restart;
mod rotation;
mod slow_member;
mod slow_reader;
mod storm;
mod take_over;
mod trials;
mod upgrade;
mod via;
mod writes;

use std::time::Duration;

use clap::ValueEnum;
use rcs_cli::Failure;

use super::members::Members;
use super::report::Findings;

/// A drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scene {
    /// Members are killed at every point in the life of a call.
    Kill,
    /// Members are frozen: alive, and without a word.
    Freeze,
    /// The network to a member swallows everything.
    BlackHole,
    /// Connections to members are reset.
    Reset,
    /// A member is slow, for one reason after the other.
    SlowMember,
    /// The resource behind members fails.
    ResourceDown,
    /// A member is back before its resource is.
    RestartWarmUp,
    /// Sockets towards members are closed one at a time.
    Rotation,
    /// A caller does not read its answer.
    SlowReader,
    /// A call ends the process of every member that runs it.
    Poison,
    /// A configuration ends the process of every member that meets it.
    PoisonConfiguration,
    /// Callers and members lose their connections at once.
    Storm,
    /// The router is told to end with calls in flight.
    Drain,
    /// Every member is restarted in turn.
    RollingRestart,
    /// A member comes and goes.
    Flapping,
    /// Strangers, a bad caller, a bad member and slow admin clients do what harm they can, all at once.
    HostileMix,
    /// The connectors of a group are upgraded by the book, under IDMs of three kinds.
    Upgrade,
    /// A later router process takes over from the running one, again and again.
    TakeOver,
    /// The leader of three routers is killed again and again, under calls and writes.
    LeaderKill,
    /// Two of three routers are away for a time.
    QuorumLoss,
    /// A cluster of routers grows, replaces each router, and shrinks.
    Grow,
    /// One of three routers is cut off, stands still, has a full disk, or has a clock that jumps.
    Partition,
    /// A router is killed while other routers use members through it.
    Via,
}

/// What is wanted of one drill only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct More {
    /// How often the leader is killed.
    pub(crate) kills: Option<u64>,
    /// Whether the same is done to etcd.
    pub(crate) etcd: bool,
}

/// How much of a drill is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A few seconds.
    Short,
    /// As long as the drill itself thinks right.
    Normal,
    /// About so long, where a drill goes on for a time.
    Long(Duration),
}

impl Scope {
    /// How long, in seconds, where a drill goes on for a time.
    fn time(self, short: u64, normal: u64) -> Duration {
        match self {
            Self::Short => Duration::from_secs(short),
            Self::Normal => Duration::from_secs(normal),
            Self::Long(time) => time,
        }
    }

    /// How often, where a drill repeats a trial.
    fn trials(self, short: usize, normal: usize) -> usize {
        match self {
            Self::Short => short,
            Self::Normal | Self::Long(_) => normal,
        }
    }
}

impl Scene {
    /// Its name on the command line.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::BlackHole => "black-hole",
            Self::Reset => "reset",
            Self::SlowMember => "slow-member",
            Self::ResourceDown => "resource-down",
            Self::RestartWarmUp => "restart-warm-up",
            Self::Rotation => "rotation",
            Self::SlowReader => "slow-reader",
            Self::Poison => "poison",
            Self::PoisonConfiguration => "poison-configuration",
            Self::Storm => "storm",
            Self::Drain => "drain",
            Self::RollingRestart => "rolling-restart",
            Self::Flapping => "flapping",
            Self::HostileMix => "hostile-mix",
            Self::Upgrade => "upgrade",
            Self::TakeOver => "take-over",
            Self::LeaderKill => "leader-kill",
            Self::QuorumLoss => "quorum-loss",
            Self::Grow => "grow",
            Self::Partition => "partition",
            Self::Via => "via",
        }
    }

    /// Whether `all` performs it. The drill of partitions was seen on a machine without time only, where elections are measured wrongly.
    pub(crate) const fn is_in_all(self) -> bool {
        !matches!(self, Self::Partition)
    }

    /// Whether it has a form in which the members dial the router. docs/bench.md says why the other one has none.
    pub(crate) const fn has_dialling_form(self) -> bool {
        !matches!(self, Self::Grow)
    }

    /// Whether it has a form in which the members are dialled. A member is used through another router only if it dials.
    pub(crate) const fn has_dialled_form(self) -> bool {
        !matches!(self, Self::Via)
    }

    /// Performs it.
    pub(crate) async fn perform(
        self,
        members: &Members,
        scope: Scope,
        seed: u64,
        more: More,
    ) -> Result<Findings, Failure> {
        match self {
            Self::Kill => kill::perform(members, scope, seed).await,
            Self::Freeze => freeze::perform(members, scope, seed).await,
            Self::BlackHole => black_hole::perform(members, scope, seed).await,
            Self::Reset => reset::perform(members, scope, seed).await,
            Self::SlowMember => slow_member::perform(members, scope, seed).await,
            Self::ResourceDown => resource_down::perform(members, scope, seed).await,
            Self::RestartWarmUp => restart_warm_up::perform(members, scope, seed).await,
            Self::Rotation => rotation::perform(members, scope, seed).await,
            Self::SlowReader => slow_reader::perform(members, scope, seed).await,
            Self::Poison => poison::perform(members, scope, seed).await,
            Self::PoisonConfiguration => poison_configuration::perform(members, scope, seed).await,
            Self::Storm => storm::perform(members, scope, seed).await,
            Self::Drain => drain::perform(members, scope, seed).await,
            Self::RollingRestart => rolling_restart::perform(members, scope, seed).await,
            Self::Flapping => flapping::perform(members, scope, seed).await,
            Self::HostileMix => hostile_mix::perform(members, scope, seed).await,
            Self::Upgrade => upgrade::perform(members, scope, seed).await,
            Self::TakeOver => take_over::perform(members, scope, seed).await,
            Self::LeaderKill => leader_kill::perform(members, scope, seed, more).await,
            Self::QuorumLoss => quorum_loss::perform(members, scope, seed).await,
            Self::Grow => grow::perform(members, scope, seed).await,
            Self::Partition => partition::perform(members, scope, seed).await,
            Self::Via => via::perform(members, scope, seed).await,
        }
    }
}
