//! Each real bug that is known of software like this, replayed by a scripted peer. A row without a file here is replayed where the
//! last column says. Numbers are those of the public trackers: OPENICF-n of the vendor, the rest of GitHub.
//!
//! | danger | known as | replayed by |
//! |---|---|---|
//! | a change is in flight when its peer dies | two generals; FoundationDB `commit_unknown_result` | `generals`: each kind of change at each cut; with real peers `kill` |
//! | a stream is cut half way | OPENICF-1855; `AbstractLoadBalancingAlgorithm` begins again elsewhere | `streams`: after every k-th result, by FIN, Close and RST |
//! | frames out of order, answers on any socket | OpenICF #109 | `order`: many streams over two sockets; one by one in `defects`, 7.2 |
//! | a cancel before its operation | OpenICF #112 | `defects`, 7.3 |
//! | an answer before the handshake is done | OpenICF #108 | `early`, in both roles; refusals by 1.8.0 in `defects`, 7.1 |
//! | a client that never dials again; a wedged peer | OpenICF #104 | `early`, in both roles |
//! | a timed-out search runs on at the RCS | OPENICF-3543 | `given_up`; a thousand at once in `cancel` |
//! | a very large Get result | OPENICF-3538 | `large`; sizes up to and over the limit in `passthrough` |
//! | a slow consumer | WIRE 5.3 | `stream` |
//! | reconnection storm; "socket closing soon" | OPENICF-1706; -1685, -1700 | `storm`, in small; in large the drill `storm` of rcs-bench |
//! | half-open TCP | a machine or a firewall that goes without a FIN | `vanish`, with segments that are dropped; a mere stall in `loss` |
//! | a paused process | etcd #20418 | `vanish` for the router; members in `loss` |
//! | poison request | HAProxy's mailing list: one request ejects every server | `poison`, both forms |
//! | sockets of one RCS on different routers | WIRE 8 | `routers`, with a scripted and with a Java RCS |
//! | secrets in logs | CWE-532 | `canary` |
//! | hostile bytes | `BinaryObjectDecoder` | the targets of `fuzz/`, and the vectors of rcs-proto |
//! | header bomb, slowloris, default key | CVE-2023-43669 | `refusals`; `a_peer_that_dribbles_its_request_is_cut_off_at_the_deadline` of rcs-proto; `well_known_keys_are_refused_outside_development` of rcs-router |
//! | bundle drift | a JAR or a script that one member lacks | `bundles`, `bundle_files` |
//! | lost or split membership; token expiry | - | not here: clusters and OAuth are not in this version |

mod early;
mod generals;
mod given_up;
mod large;
mod order;
mod poison;
mod routers;
mod storm;
mod streams;
mod vanish;
