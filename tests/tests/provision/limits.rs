//! AWS's rate limits are kept to: at its rates the sandbox has nothing to refuse, whatever is asked at the same time.

use ecspipe_provision::{Inputs, Scope, TagSource, desired, observe_all, scope};

use super::place::{Place, TUTORIAL, sandbox, spec};

#[tokio::test(start_paused = true)]
async fn the_tutorial_is_never_throttled() {
    let sandbox = sandbox();
    sandbox.faults().set_rates(true);
    let place = Place::within(&sandbox, spec(TUTORIAL)).await;
    place.up().await;
    place.assert_settled().await;
    place.down(true).await;
    assert_eq!(sandbox.faults().refused_by_rate(), Some(0));
}

/// A hundred apps at once, one of them made: the same look as that of one, a hundred times as wide.
#[tokio::test(start_paused = true)]
async fn a_hundred_plans_are_never_throttled() {
    let sandbox = sandbox();
    let made = Place::within(&sandbox, spec(TUTORIAL)).await;
    made.up().await;
    sandbox.faults().set_rates(true);
    let scopes: Vec<Scope> = (0..100)
        .map(|number| {
            let text = TUTORIAL.replace(
                "app: ecs-deployment-pipeline",
                &format!("app: app-{number}"),
            );
            let spec = if number == 0 {
                made.spec.clone()
            } else {
                spec(&text)
            };
            let buildspec = ecspipe_render::buildspec(&spec, &made.facts).unwrap();
            let inputs = Inputs {
                spec: &spec,
                facts: &made.facts,
                buildspec: &buildspec,
                existing: &Default::default(),
            };
            let graph = desired(&inputs).unwrap();
            Scope {
                tag_source: TagSource::Index,
                ..scope(&inputs, &graph)
            }
        })
        .collect();
    let found = observe_all(&made.account, &scopes).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(sandbox.faults().refused_by_rate(), Some(0));
    // The same app a hundred times, with all that it has, and nothing shared.
    let alone: Vec<_> = (0..100).map(|_| made.inventory()).collect();
    futures::future::join_all(alone).await;
    assert_eq!(sandbox.faults().refused_by_rate(), Some(0));
}
