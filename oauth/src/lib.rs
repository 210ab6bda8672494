//! OAuth2 as a client needs it: an HTTPS client for a few small answers, and access tokens by client credentials.
//!
//! # Code map
//! - [`https`]: one request on one connection, with bounds for time, head and body. Used for token endpoints, introspection and sets of
//!   keys (JWKS).
//! - [`token`]: access tokens by client credentials: asked for once, shared, renewed before their end, replaced when refused.
//! - [`dial`]: dials that show such a token, for the keeper of rcs-proto.
//! - [`limits`]: every bound, with its unit and reason.
//!
//! # This crate must not know
//! Messages of OpenICF, groups, balancing, who calls whom. It knows no file and no property either: its user passes values in.

pub mod dial;
pub mod https;
pub mod limits;
pub mod token;
