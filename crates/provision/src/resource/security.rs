//! Properties of keys and roles. Must not say which keys and roles an app has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Id, Policy};

/// A symmetric KMS key. A key that is pending deletion doesn't exist for a listing; creating one under an alias whose key
/// is pending deletion and carries our tags cancels that deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptionKey {
    /// The alias, with `alias/`. Empty where the alias is gone.
    pub alias: String,
    /// The description.
    pub description: String,
    /// Whether its material is rotated every year.
    pub rotation: bool,
    /// The key policy.
    pub policy: Policy,
}

/// An IAM role for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name, global to the account. Its description isn't held: the listing that gives all roles leaves it out.
    pub name: String,
    /// Its path, which its ARN holds before the name: `/`, or names between slashes.
    pub path: String,
    /// The ARN of the managed policy that bounds its permissions.
    pub boundary: Option<Id>,
    /// Who may assume it.
    pub trust: Policy,
    /// The inline policies by name. Policies that somebody else attached aren't compared; deletion detaches them.
    pub policies: BTreeMap<String, Policy>,
}
