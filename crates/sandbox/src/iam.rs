//! Who may do what: policy documents, what a request needs, and the decision, as IAM makes it. Every call over the wire and
//! everything that a service does with a role goes through `authorize`. Must not change the account.
//!
//! `document` reads and checks policies, `condition` and `pattern` hold a request against them, `evaluate` decides: these
//! four are pure. `needs` says which actions on which resources a call needs, `facts` what the account knows about a
//! resource, `authorize` brings them together, and `acting` does it for services that act with a role.

pub(crate) mod acting;
mod authorize;
pub mod condition;
pub mod document;
pub mod evaluate;
mod facts;
mod managed;
pub(crate) mod needs;
pub(crate) mod pattern;
pub(crate) mod simulate;

pub use authorize::CallerPolicy;
pub(crate) use authorize::{Denial, authorize, may_assume, principal_of, refusal};
pub use needs::Need;
