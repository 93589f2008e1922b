//! What becomes of a lease: taken, waited for, broken, renewed, lost.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::memory::{Fate, Place};
use super::*;

fn holder(id: u32) -> Holder {
    Holder {
        owner: format!("arn:aws:iam::111122223333:user/{id}"),
        host: "build-7".to_owned(),
        command: "ecspipe up".to_owned(),
        job: None,
        app: "web".to_owned(),
        process: Process {
            id,
            table: "boot".to_owned(),
            started: "1".to_owned(),
        },
    }
}

fn nobody_ended(_: &Process) -> bool {
    false
}

fn terms(wait: u64) -> Terms<'static> {
    Terms {
        wait: Duration::from_secs(wait),
        breaks: false,
        is_new: true,
        has_ended: &nobody_ended,
    }
}

const BREAK: Terms<'static> = Terms {
    wait: Duration::ZERO,
    breaks: true,
    is_new: false,
    has_ended: &nobody_ended,
};

async fn taken(
    place: &Place,
    id: u32,
    terms: &Terms<'_>,
) -> (Result<Taken, NotTaken>, Vec<String>) {
    let lease = Lease::new(holder(id), 0, place.now());
    let mut said = Vec::new();
    let cancel = CancellationToken::new();
    let taken = take(place, &lease, terms, &cancel, &mut |told| {
        said.push(match told {
            Told::Waits { held, until } => format!("waits for {} until {until}", held.owner()),
            Told::Unsettled => "unsettled".to_owned(),
            Told::Over { held, why } => format!("over {}: {why:?}", held.owner()),
        });
    })
    .await;
    (taken, said)
}

async fn held(place: &Arc<Place>, id: u32) -> Held {
    let (taken, _) = taken(place, id, &terms(0)).await;
    Held::of(place.clone(), taken.unwrap()).unwrap()
}

fn token(place: &Place, id: u32) -> bool {
    // Which process's lease lies there.
    let all = place.token();
    all.is_some_and(|token| {
        (0..600).any(|second| {
            let now = after(Timestamp::UNIX_EPOCH, Duration::from_secs(second));
            Lease::new(holder(id), 0, now).token == token
        })
    })
}

#[tokio::test(start_paused = true)]
async fn the_second_is_refused_until_the_first_has_run_out() {
    let place = Place::new();
    assert!(matches!(
        taken(&place, 1, &terms(0)).await.0,
        Ok(Taken::Held { .. })
    ));
    tokio::time::advance(LIFE - Duration::from_secs(1)).await;
    match taken(&place, 2, &terms(0)).await.0 {
        Err(NotTaken::Held { held, waited }) => {
            assert_eq!(held.owner(), holder(1).owner);
            assert_eq!(held.ends().to_string(), "1970-01-01T00:03:00Z");
            assert_eq!(waited, Duration::ZERO);
        }
        other => panic!("{other:?}"),
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    let (have, said) = taken(&place, 2, &terms(0)).await;
    assert!(have.is_ok());
    assert_eq!(said, ["over arn:aws:iam::111122223333:user/1: RunOut"]);
    assert!(token(&place, 2));
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_it_when_it_is_given_back_and_gives_up_in_time() {
    let place = Arc::new(Place::new());
    let first = held(&place, 1).await;
    let wait = terms(300);
    let (second, ()) = tokio::join!(taken(&place, 2, &wait), async {
        place.sleep(Duration::from_secs(61)).await;
        assert!(first.release().await.unwrap());
    });
    assert!(second.0.is_ok());
    assert_eq!(
        second.1,
        ["waits for arn:aws:iam::111122223333:user/1 until 1970-01-01T00:05:00Z"]
    );
    let second = Held::of(place.clone(), second.0.unwrap()).unwrap();
    let wait = terms(299);
    tokio::select! {
        lost = second.keep() => panic!("{lost:?}"),
        (third, said) = taken(&place, 3, &wait) => {
            let Err(NotTaken::Held { waited, .. }) = third else { panic!("{third:?}") };
            assert_eq!(waited, Duration::from_secs(300));
            assert_eq!(said.len(), 1, "{said:?}");
        }
    }
    assert!(token(&place, 2));
}

#[tokio::test(start_paused = true)]
async fn a_wait_can_be_stopped() {
    let place = Place::new();
    taken(&place, 1, &terms(0)).await.0.unwrap();
    let lease = Lease::new(holder(2), 0, place.now());
    let cancel = CancellationToken::new();
    let wait = terms(60);
    let mut told = |_| ();
    let (have, ()) = tokio::join!(take(&place, &lease, &wait, &cancel, &mut told), async {
        place.sleep(Duration::from_secs(7)).await;
        cancel.cancel();
    });
    assert!(matches!(have, Err(NotTaken::Stopped { .. })), "{have:?}");
    assert_eq!(place.now().as_second(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_has_ended_is_not_waited_for() {
    let place = Place::new();
    taken(&place, 1, &terms(0)).await.0.unwrap();
    let gone = Terms {
        has_ended: &|process| process.id == 1,
        ..terms(0)
    };
    let (have, said) = taken(&place, 2, &gone).await;
    assert!(have.is_ok());
    assert_eq!(said, ["over arn:aws:iam::111122223333:user/1: Ended"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_broken_finds_out_at_the_next_renewal_and_whose_it_is_now() {
    let place = Arc::new(Place::new());
    let first = held(&place, 1).await;
    let broken = taken(&place, 2, &BREAK);
    tokio::pin!(broken);
    // Whoever breaks it begins only when the first must know.
    let lost = tokio::select! {
        have = &mut broken => panic!("{have:?}"),
        lost = async {
            let kept = first.keep();
            assert_eq!(first.assured().await, Ok(()));
            kept.await
        } => lost,
    };
    assert_eq!(place.now().as_second(), 60);
    let (have, said) = broken.await;
    assert_eq!(place.now().as_second(), 65);
    assert!(have.is_ok());
    assert_eq!(said, ["over arn:aws:iam::111122223333:user/1: Broken"]);
    let Lost::Taken(by) = &lost else {
        panic!("{lost:?}")
    };
    assert_eq!(by.owner(), holder(2).owner);
    assert_eq!(first.assured().await, Err(lost.clone()));
    assert_eq!(first.lost(), Some(lost));
    assert!(!first.release().await.unwrap());
    assert!(token(&place, 2));
}

#[tokio::test(start_paused = true)]
async fn a_holder_who_slept_asks_before_anything_is_begun() {
    let place = Arc::new(Place::new());
    let first = held(&place, 1).await;
    // Nobody else came: the lease is written again, and holds.
    tokio::time::advance(LIFE * 2).await;
    assert_eq!(first.assured().await, Ok(()));
    assert_eq!(place.writings(), 2);
    assert_eq!(first.assured().await, Ok(()));
    assert_eq!(place.writings(), 2);
    // Somebody did.
    tokio::time::advance(LIFE * 2).await;
    taken(&place, 2, &terms(0)).await.0.unwrap();
    assert!(matches!(first.assured().await, Err(Lost::Taken(_))));
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_lose_no_lease() {
    let place = Arc::new(Place::new());
    // Both the first writing and a renewal are done, but their repetition finds them changed.
    place.fates(&[Fate::Repeated, Fate::Repeated]);
    let (have, said) = taken(&place, 1, &terms(0)).await;
    assert_eq!(said, [""; 0]);
    let first = Held::of(place.clone(), have.unwrap()).unwrap();
    tokio::select! {
        lost = first.keep() => panic!("{lost:?}"),
        () = place.sleep(Duration::from_secs(100)) => {}
    }
    assert_eq!(place.writings(), 2);
    // So is giving it back, after a renewal that nobody knows of.
    place.fates(&[Fate::Repeated, Fate::Repeated]);
    assert!(first.release().await.unwrap());
    assert_eq!(place.writings(), 3);
    assert_eq!(place.token(), None);
    tokio::select! {
        lost = first.keep() => panic!("{lost:?}"),
        () = place.sleep(LIFE) => assert_eq!(place.writings(), 3),
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_nobody_answers_is_tried_until_the_lease_has_run_out() {
    let place = Arc::new(Place::new());
    let first = held(&place, 1).await;
    place.fates(&[Fate::Lost; 3]);
    tokio::select! {
        lost = first.keep() => panic!("{lost:?}"),
        () = place.sleep(Duration::from_secs(100)) => {}
    }
    assert_eq!(place.writings(), 2);
    place.fates(&[Fate::Lost; 1000]);
    let lost = first.keep().await;
    assert!(matches!(lost, Lost::RunOut(_)), "{lost:?}");
    let since = Duration::from_secs(75) + LIFE;
    let now = Duration::from_secs(place.now().as_second().unsigned_abs());
    assert!(now >= since && now <= since + LOOK, "{now:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_gone_is_lost_unless_its_place_goes() {
    let place = Arc::new(Place::new());
    let first = held(&place, 1).await;
    place.clear();
    assert_eq!(first.keep().await, Lost::Gone);
    let second = held(&place, 2).await;
    second.ends_with_its_place();
    place.is_missing(true);
    tokio::select! {
        lost = second.keep() => panic!("{lost:?}"),
        () = place.sleep(Duration::from_secs(1000)) => {}
    }
    assert_eq!(second.lost(), None);
}

/// The place may be just being made, or the holder of the last lease about to remove it.
#[tokio::test(start_paused = true)]
async fn where_nothing_was_ever_written_it_is_not_taken_at_once() {
    let looked = || Terms {
        is_new: false,
        ..terms(0)
    };
    let place = Place::new();
    let (have, said) = taken(&place, 1, &looked()).await;
    assert!(have.is_ok());
    assert_eq!(said, ["unsettled"]);
    assert_eq!(place.now().as_second(), 30);

    let place = Place::new();
    let terms = looked();
    let (have, ()) = tokio::join!(taken(&place, 1, &terms), async {
        place.sleep(Duration::from_secs(7)).await;
        place.is_missing(true);
    });
    assert_eq!(have.0, Ok(Taken::NoPlace));
    assert_eq!(place.writings(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_place_nobody_holds_a_lease() {
    let place = Place::new();
    place.is_missing(true);
    assert_eq!(taken(&place, 1, &terms(0)).await.0, Ok(Taken::NoPlace));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_counts_as_held_for_as_long_as_any_lease() {
    let place = Place::new();
    place.scribble();
    assert!(matches!(
        taken(&place, 1, &terms(0)).await.0,
        Err(NotTaken::Held { .. })
    ));
    let (have, said) = taken(&place, 1, &terms(600)).await;
    assert!(have.is_ok());
    assert_eq!(
        said.last().unwrap(),
        "over somebody with another version of ecspipe: RunOut"
    );
}

/// What is written can be read by people, and by the next version.
#[test]
fn a_lease_as_it_is_written() {
    let lease = Lease::new(holder(7), 0, Timestamp::UNIX_EPOCH);
    let text = serde_json::to_string_pretty(&lease).unwrap();
    insta::assert_snapshot!(text, @r#"
    {
      "token": "8a1d766d49447d40b8ace00fc3b3ff04",
      "owner": "arn:aws:iam::111122223333:user/7",
      "host": "build-7",
      "command": "ecspipe up",
      "app": "web",
      "process": {
        "id": 7,
        "table": "boot",
        "started": "1"
      },
      "since": "1970-01-01T00:00:00Z",
      "holds_for": 180,
      "renewals": 0
    }
    "#);
    assert_eq!(serde_json::from_str::<Lease>(&text).unwrap(), lease);
    let other = Lease::new(holder(7), 1, Timestamp::UNIX_EPOCH);
    assert_ne!(other.token, lease.token);
}
