//! Tree → raw for what exists already. Must not check a value beyond its type.

use super::{Keys, Place, Reader};
use crate::raw::{ExistingNetwork, Given, Reference, Roles, Subnets};
use crate::tree::Node;

impl Reader<'_, '_> {
    pub(super) fn existing_network(
        &mut self,
        place: &Place,
        node: &Node,
    ) -> Option<ExistingNetwork> {
        let mut keys = self.keys(place, node)?;
        let network = ExistingNetwork {
            vpc: self.required(&mut keys, "vpc", Self::reference),
            public: self.optional(&mut keys, "public", Self::subnets),
            private: self.required(&mut keys, "private", Self::subnets),
        };
        self.unknown(&keys);
        Some(network)
    }

    pub(super) fn given(&mut self, place: &Place, node: &Node) -> Option<Given> {
        let mut keys = self.keys(place, node)?;
        let given = Given {
            existing: self.required(&mut keys, "existing", Self::reference),
        };
        self.unknown(&keys);
        Some(given)
    }

    pub(super) fn roles(&mut self, place: &Place, node: &Node) -> Option<Roles> {
        let mut keys = self.keys(place, node)?;
        let roles = Roles {
            execution: self.optional(&mut keys, "execution", Self::given),
            task: self.optional(&mut keys, "task", Self::given),
            codedeploy: self.optional(&mut keys, "codedeploy", Self::given),
            codebuild: self.optional(&mut keys, "codebuild", Self::given),
            codepipeline: self.optional(&mut keys, "codepipeline", Self::given),
            events: self.optional(&mut keys, "events", Self::given),
        };
        self.unknown(&keys);
        Some(roles)
    }

    pub(super) fn reference(&mut self, place: &Place, node: &Node) -> Option<Reference> {
        let mut keys = self.keys(place, node)?;
        let found = [
            self.optional(&mut keys, "id", Self::text)
                .map(Reference::Id),
            self.optional(&mut keys, "name", Self::text)
                .map(Reference::Name),
            self.optional(&mut keys, "tags", Self::pairs)
                .map(Reference::Tags),
        ];
        self.unknown(&keys);
        self.one_of(&keys, found)
    }

    pub(super) fn subnets(&mut self, place: &Place, node: &Node) -> Option<Subnets> {
        let mut keys = self.keys(place, node)?;
        let found = [
            self.optional(&mut keys, "ids", Self::texts)
                .map(Subnets::Ids),
            self.optional(&mut keys, "tags", Self::pairs)
                .map(Subnets::Tags),
        ];
        self.unknown(&keys);
        self.one_of(&keys, found)
    }

    /// A rule of a listener is what many would write here, and what CodeDeploy's deployment group has no place for (AWS.md
    /// §4.1): its traffic routes name listeners.
    pub(super) fn refuse_rule(&mut self, keys: &mut Keys<'_>) {
        let rule = keys.entries.iter().position(|(name, ..)| *name == "rule");
        let Some((name, at, _)) = rule.map(|index| keys.entries.remove(index)) else {
            return;
        };
        let path = keys.place.child(name, at).path;
        let message = "a rule of a listener can't be the traffic route of `engine: codedeploy`: CodeDeploy takes whole listeners";
        let hint = "give the app ports of its own on the load balancer: `port: 8081`".to_owned();
        self.problems.structure(&path, at, message, Some(hint));
    }

    /// The only one of the ways to name something.
    fn one_of<T, const N: usize>(&mut self, keys: &Keys<'_>, found: [Option<T>; N]) -> Option<T> {
        let ways = &keys.asked;
        let written = keys
            .entries
            .iter()
            .filter(|(name, ..)| ways.contains(name))
            .count();
        if written == 1 {
            return found.into_iter().flatten().next();
        }
        let ways: Vec<String> = ways.iter().map(|way| format!("`{way}`")).collect();
        let message = if written == 0 {
            "nothing says what is meant"
        } else {
            "several ways to say what is meant"
        };
        let hint = format!("write exactly one of {}", ways.join(", "));
        let place = &keys.place;
        self.problems
            .structure(&place.path, place.key, message, Some(hint));
        None
    }
}
