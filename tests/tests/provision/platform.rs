//! What a platform team keeps for others' apps in a sandbox account: a network, a cluster, a balancer, a key, roles. Made by an
//! app of ecspipe's own, whose things are somebody else's to every other app. Must not hold expectations of one test.

use std::collections::BTreeMap;

use ecspipe_provision::existing::{Depth, Found, Lookup as _};
use ecspipe_provision::resource::{Rule, SecurityGroup, Subnet};
use ecspipe_provision::{Change, Cloud as _, Key, Kind, Origin, Progress, Resource, Tags};
use ecspipe_sandbox::Sandbox;
use ecspipe_sandbox::services::iam::ManagedPolicy;

use super::place::{Place, spec};

/// The platform, with its ways out. It runs nothing itself, so that nothing of it changes by itself.
pub(crate) const PLATFORM: &str = "
version: 1
app: platform
network: { cidr: 10.9.0.0/16, zones: 2, nat: single }
service: { port: 80, desired_count: 0 }
";

/// A managed policy that bounds nothing: see [`Platform::add_boundary`].
pub(crate) const BOUNDARY: &str = "arn:aws:iam::111122223333:policy/teams/boundary";

/// The platform's app with the ids of its things.
pub(crate) struct Platform {
    pub(crate) place: Place,
    /// By key, such as `vpc/main`.
    pub(crate) ids: BTreeMap<String, String>,
}

impl Platform {
    /// A platform that lets nobody in but on its own ports.
    pub(crate) async fn closed(sandbox: &Sandbox, text: &str) -> Self {
        let place = Place::within(sandbox, spec(text)).await;
        place.up().await;
        let owned = place.inventory().await.owned;
        let ids = owned
            .into_iter()
            .map(|(key, have)| (key.to_string(), have.id))
            .collect();
        Self { place, ids }
    }

    /// A platform whose balancer is open to the world from port 8081 to port 9999.
    pub(crate) async fn open(sandbox: &Sandbox) -> Self {
        let platform = Self::closed(sandbox, PLATFORM).await;
        let guests = Rule {
            protocol: "tcp".to_owned(),
            from_port: Some(8081),
            to_port: Some(9999),
            peer: "0.0.0.0/0".to_owned(),
        };
        platform
            .change_group("balancer", |group| {
                group.ingress.insert(guests.clone());
            })
            .await;
        platform
    }

    pub(crate) fn id(&self, key: &str) -> &str {
        self.ids
            .get(key)
            .unwrap_or_else(|| panic!("no {key} in {:#?}", self.ids))
    }

    /// Adds the managed policy [`BOUNDARY`], tagged `team=platform`.
    pub(crate) fn add_boundary(&self) {
        self.add_policy(BOUNDARY);
    }

    /// Adds a managed policy that allows everything, tagged `team=platform`.
    pub(crate) fn add_policy(&self, arn: &str) {
        let allow = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        let policy = ManagedPolicy {
            id: "ANPA0123456789ABCDEFG".to_owned(),
            description: None,
            document: allow.to_owned(),
            created: 0,
            tags: BTreeMap::from([("team".to_owned(), "platform".to_owned())]),
        };
        let mut world = self.place.sandbox.world();
        world.iam.policies.insert(arn.to_owned(), policy);
    }

    /// Adds a subnet beside `like` (a key such as `subnet/public-eu-central-1a`), in its zone and on its route table, as the
    /// platform's owner does by hand; answers its id.
    pub(crate) async fn add_subnet(&self, like: &str, cidr: &str) -> String {
        let owned = self.place.inventory().await.owned;
        let beside = &owned[&like.parse::<Key>().unwrap()];
        let Resource::Subnet(subnet) = &beside.resource else {
            unreachable!()
        };
        let want = Resource::from(Subnet {
            cidr: cidr.to_owned(),
            ..subnet.clone()
        });
        let (cloud, progress) = (&self.place.account, Progress::silent());
        let key = Key::new(Kind::Subnet, "by-hand");
        let tags = Tags::default();
        let made = cloud.create(&key, &want, &tags, &progress).await;
        let id = made.unwrap().id;
        let table = owned.values().find(|have| match &have.resource {
            Resource::RouteTable(table) => table.subnets.contains(&beside.id),
            _ => false,
        });
        let mut want = table.unwrap().resource.clone();
        let Resource::RouteTable(routes) = &mut want else {
            unreachable!()
        };
        routes.subnets.insert(id.clone());
        let changes = [by_hand("subnets")];
        let updated = cloud.update(table.unwrap(), &want, &changes, &tags, &progress);
        updated.await.unwrap();
        id
    }

    /// Changes one of the platform's security groups, as its owner does by hand.
    pub(crate) async fn change_group(&self, name: &str, change: impl FnOnce(&mut SecurityGroup)) {
        let owned = self.place.inventory().await.owned;
        let have = owned
            .into_values()
            .find(|have| match &have.resource {
                Resource::SecurityGroup(group) => {
                    group.name == format!("{}-{name}", self.place.spec.app)
                }
                _ => false,
            })
            .unwrap();
        let mut want = have.resource.clone();
        let Resource::SecurityGroup(group) = &mut want else {
            unreachable!()
        };
        change(group);
        let changes = ["ingress", "egress"].map(by_hand);
        let progress = Progress::silent();
        let tags = Tags::default();
        let updated = self
            .place
            .account
            .update(&have, &want, &changes, &tags, &progress);
        updated.await.unwrap();
    }

    /// The spec of another app on this platform: its listeners are on `port` and on `port` + 1000.
    pub(crate) fn guest(&self, app: &str, port: u16) -> String {
        format!(
            "version: 1
app: {app}
region: eu-central-1
service: {{ image: 'httpd:2.4.58', port: 80 }}
network:
  existing:
    vpc: {{ name: platform-main }}
    private: {{ ids: [{}, {}] }}
cluster: {{ existing: {{ name: platform }} }}
load_balancer:
  existing: {{ name: platform }}
  production: {{ port: {port} }}
  test: {{ port: {} }}
deploy: {{ keep_old: 5m }}
",
            self.id("subnet/private-eu-central-1a"),
            self.id("subnet/private-eu-central-1b"),
            port + 1000,
        )
    }
}

/// A change of a property.
fn by_hand(field: &str) -> Change {
    Change {
        field: field.to_owned(),
        have: None,
        want: None,
        origin: Origin::Drift,
    }
}

/// An app on a platform, with what it uses looked up; there must be no problem with it.
pub(crate) async fn guest(sandbox: &Sandbox, text: &str) -> Place {
    looked_up(Place::within(sandbox, spec(text)).await).await
}

/// The same app with what it uses looked up; there must be no problem with it.
pub(crate) async fn looked_up(mut place: Place) -> Place {
    let found = look_up(&place).await;
    assert_eq!(found.problems, []);
    place.facts.existing = found.existing.names();
    place.existing = found.existing;
    place
}

/// What the spec of `place` refers to.
pub(crate) async fn look_up(place: &Place) -> Found {
    let found = place
        .account
        .look_up(&place.spec, &place.facts, Depth::Everything);
    found.await.unwrap()
}
