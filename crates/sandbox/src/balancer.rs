//! Traffic: what a listener does with one HTTP request. Asks the tasks behind its target groups by weight and by turn.
//! Must not listen on anything ([`crate::server`] does) nor change what a listener forwards to.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Sandbox;
use crate::runtime::Page;
use crate::services::ecs::Unanswered;
use crate::services::elbv2::{self, Action, Seen};
use crate::world::World;

/// What listeners have served, and whose turn it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests by listener ARN.
    pub listeners: BTreeMap<String, u64>,
    /// Requests by target group ARN.
    pub groups: BTreeMap<String, u64>,
    /// Answers by listener ARN and status.
    pub statuses: BTreeMap<String, BTreeMap<u16, u64>>,
    /// By listener, then target group: how far a group is behind its share.
    credit: BTreeMap<String, BTreeMap<String, i64>>,
}

impl Traffic {
    /// Forgets a listener that is gone.
    pub(crate) fn forget(&mut self, listener: &str) {
        self.listeners.remove(listener);
        self.statuses.remove(listener);
        self.credit.remove(listener);
    }

    /// The target group whose turn it is (smooth weighted round robin: after as many requests as the weights sum up
    /// to, every group has had exactly its weight).
    fn choose(&mut self, listener: &str, weights: &[(String, u32)]) -> Option<String> {
        let total: i64 = weights.iter().map(|(_, weight)| i64::from(*weight)).sum();
        if total == 0 {
            return None;
        }
        let credit = self.credit.entry(listener.to_owned()).or_default();
        credit.retain(|group, _| {
            weights
                .iter()
                .any(|(arn, weight)| arn == group && *weight > 0)
        });
        let weighed = weights.iter().filter(|(_, weight)| *weight > 0);
        let mut best: Option<(&String, i64)> = None;
        for (arn, weight) in weighed {
            let have = credit.entry(arn.clone()).or_default();
            *have += i64::from(*weight);
            if best.is_none_or(|(_, most)| *have > most) {
                best = Some((arn, *have));
            }
        }
        let (chosen, _) = best?;
        if let Some(have) = credit.get_mut(chosen) {
            *have -= total;
        }
        Some(chosen.clone())
    }
}

/// One request to a listener.
#[derive(Debug, Clone, Default)]
pub struct Inquiry {
    /// The method, such as `GET`.
    pub method: String,
    /// The path with its leading slash, and the query.
    pub path_and_query: String,
    /// Headers with lower-case names.
    pub headers: BTreeMap<String, String>,
}

/// A page and, for a redirect, where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The page.
    pub page: Page,
    /// The `Location`, where the answer is a redirect.
    pub location: Option<String>,
}

impl Sandbox {
    /// What an HTTP client gets for `GET path` from a listener, without a socket.
    pub fn fetch(&self, listener_arn: &str, path: &str) -> Page {
        let inquiry = Inquiry {
            method: "GET".to_owned(),
            path_and_query: path.to_owned(),
            headers: BTreeMap::new(),
        };
        serve(&mut self.world(), listener_arn, &inquiry).page
    }

    /// The same, by the balancer's DNS name and the listener's port.
    pub fn fetch_host(&self, dns_name: &str, port: u16, path: &str) -> Page {
        let listener = self
            .listeners()
            .into_iter()
            .find(|have| have.dns_name == dns_name && have.port == port);
        match listener {
            Some(listener) => self.fetch(&listener.arn, path),
            None => notice(502, &format!("no listener on {dns_name}:{port}")),
        }
    }

    /// What each listener and target group has served so far, in one region.
    pub fn traffic(&self, region: &str) -> Traffic {
        self.world().at(region).elbv2.traffic.clone()
    }

    /// All listeners of the account, by load balancer and port.
    pub fn listeners(&self) -> Vec<ListenerFacts> {
        facts(&self.world())
    }
}

/// Where a listener is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenerFacts {
    /// The listener.
    pub arn: String,
    /// The name of its balancer.
    pub load_balancer: String,
    /// The balancer's name in DNS (which knows nothing of it).
    pub dns_name: String,
    /// The port in AWS.
    pub port: u16,
    /// The region.
    pub region: String,
    /// The URL on this machine, where a server runs.
    pub url: Option<String>,
}

/// All listeners of the account, by load balancer and port.
pub(crate) fn facts(world: &World) -> Vec<ListenerFacts> {
    let regions = world.regions.iter();
    let all = regions.flat_map(|(region, have)| {
        have.elbv2
            .listeners
            .iter()
            .map(move |(arn, one)| (region, have, arn, one))
    });
    let mut facts: Vec<ListenerFacts> = all
        .filter_map(|(region, have, arn, listener)| {
            let balancer = have.elbv2.balancers.get(&listener.balancer)?;
            Some(ListenerFacts {
                arn: arn.clone(),
                load_balancer: balancer.name.clone(),
                dns_name: balancer.dns_name.clone(),
                port: listener.port,
                region: region.clone(),
                url: None,
            })
        })
        .collect();
    facts.sort_by(|a, b| {
        (&a.load_balancer, a.port, &a.arn).cmp(&(&b.load_balancer, b.port, &b.arn))
    });
    facts
}

/// Answers one request as the listener would.
pub(crate) fn serve(world: &mut World, listener: &str, inquiry: &Inquiry) -> Served {
    let region = listener.split(':').nth(3).unwrap_or_default().to_owned();
    let answer = answer(world, &region, listener, inquiry);
    let served = answer.served;
    let answered = elbv2::Answered {
        listener,
        group: answer.group.as_deref(),
        by_target: answer.by_target,
        status: served.page.status,
    };
    elbv2::measure(world, &region, &answered);
    let traffic = &mut world.at(&region).elbv2.traffic;
    *traffic.listeners.entry(listener.to_owned()).or_default() += 1;
    *traffic
        .statuses
        .entry(listener.to_owned())
        .or_default()
        .entry(served.page.status)
        .or_default() += 1;
    served
}

/// What is served, and by whom.
struct Answer {
    served: Served,
    /// The target group that it went to.
    group: Option<String>,
    /// Whether a target answered; else it was the balancer itself.
    by_target: bool,
}

fn answer(world: &mut World, region: &str, listener: &str, inquiry: &Inquiry) -> Answer {
    let (path, query) = inquiry
        .path_and_query
        .split_once('?')
        .unwrap_or((&inquiry.path_and_query, ""));
    let seen = Seen {
        method: inquiry.method.clone(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: inquiry.headers.clone(),
    };
    let now = world.now;
    let state = &mut world.at(region).elbv2;
    let Some(action) = elbv2::action_for(state, listener, &seen).cloned() else {
        return plain(notice(502, "this listener does not exist any more"));
    };
    let balancer = state
        .listeners
        .get(listener)
        .and_then(|listener| state.balancers.get(&listener.balancer));
    if balancer.is_some_and(|balancer| !balancer.active(now)) {
        return plain(notice(503, "the load balancer is still being provisioned"));
    }
    match action {
        Action::Forward { groups, .. } => {
            let Some(group) = state.traffic.choose(listener, &groups) else {
                return plain(notice(503, "no target group of this listener has a weight"));
            };
            let page = forward(world, region, &group, &inquiry.path_and_query);
            let by_target = page.is_ok();
            let page = page.unwrap_or_else(|page| page);
            Answer {
                by_target,
                group: Some(group),
                ..plain(page)
            }
        }
        Action::Fixed {
            status,
            content_type,
            body,
        } => plain(Page {
            status,
            content_type: content_type.unwrap_or_else(|| "text/plain".to_owned()),
            body: body.unwrap_or_default().into(),
        }),
        Action::Redirect {
            code,
            protocol,
            host,
            port,
            path,
            query,
        } => {
            let location = location(&seen, [&protocol, &host, &port, &path, &query]);
            let status = if code == "HTTP_301" { 301 } else { 302 };
            let page = Page {
                status,
                content_type: "text/html".to_owned(),
                body: Bytes::new(),
            };
            let mut answer = plain(page);
            answer.served.location = Some(location);
            answer
        }
    }
}

/// Asks the target whose turn it is; the error is the balancer's own page.
fn forward(world: &mut World, region: &str, group: &str, path: &str) -> Result<Page, Page> {
    let targets = elbv2::in_service(world, region, group);
    let served = world
        .at(region)
        .elbv2
        .traffic
        .groups
        .entry(group.to_owned())
        .or_default();
    let turn = *served;
    *served += 1;
    if targets.is_empty() {
        return Err(notice(503, "no task is registered behind this listener"));
    }
    let (address, port) = &targets[(turn % targets.len() as u64) as usize];
    if !elbv2::is_reached(world, region, group, address, *port) {
        return Err(notice(
            504,
            &format!("no security group lets the balancer through to {address}:{port}"),
        ));
    }
    elbv2::page_of(world, region, group, (address, *port), path).map_err(|why| {
        let status = match why {
            Unanswered::Refused | Unanswered::Nobody => 502,
            Unanswered::Silent => 504,
        };
        let text = format!("the task at {address}:{port} does not answer");
        notice(status, &text)
    })
}

/// A page of the balancer's own.
fn plain(page: Page) -> Answer {
    Answer {
        served: Served {
            page,
            location: None,
        },
        group: None,
        by_target: false,
    }
}

/// A redirect's target, with `#{…}` filled in from the request.
fn location(seen: &Seen, parts: [&String; 5]) -> String {
    let host = seen
        .headers
        .get("host")
        .map(String::as_str)
        .unwrap_or("localhost");
    let (host, port) = host.split_once(':').unwrap_or((host, "80"));
    let fill = |text: &String| {
        text.replace("#{protocol}", "http")
            .replace("#{host}", host)
            .replace("#{port}", port)
            .replace("#{path}", seen.path.trim_start_matches('/'))
            .replace("#{query}", &seen.query)
    };
    let [protocol, host, port, path, query] = parts.map(fill);
    let query = if query.is_empty() {
        query
    } else {
        format!("?{query}")
    };
    format!("{}://{host}:{port}{path}{query}", protocol.to_lowercase())
}

/// A page of the balancer's own, which says what is wrong.
fn notice(status: u16, text: &str) -> Page {
    let title = match status {
        502 => "502 Bad Gateway",
        504 => "504 Gateway Time-out",
        _ => "503 Service Temporarily Unavailable",
    };
    let body = format!(
        "<html>\n<head><title>{title}</title></head>\n<body>\n<center><h1>{title}</h1></center>\n<p>{text}</p>\n</body>\n</html>\n"
    );
    Page {
        status,
        content_type: "text/html".to_owned(),
        body: body.into(),
    }
}

#[cfg(test)]
mod tests;
