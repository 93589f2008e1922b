//! Alarms and metrics through the API, on the virtual clock.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};

use crate::Sandbox;
use crate::services::cloudwatch::Metric;
use crate::testing::{REGION, call, sandbox};

async fn ask(sandbox: &Sandbox, operation: &str, input: Value) -> Result<Value, (u16, String)> {
    call(sandbox, "monitoring", operation, input).await
}

fn errors() -> Value {
    json!({
        "AlarmName": "errors", "Namespace": "App", "MetricName": "Errors", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 2, "DatapointsToAlarm": 1, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching", "Dimensions": [{"Name": "App", "Value": "web"}],
        "Tags": [{"Key": "team", "Value": "web"}],
    })
}

async fn state(sandbox: &Sandbox) -> String {
    let alarms = ask(sandbox, "DescribeAlarms", json!({})).await.unwrap();
    alarms["MetricAlarms"][0]["StateValue"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

fn record(sandbox: &Sandbox, count: u64) {
    let mut world = sandbox.world();
    let now = world.now;
    let metric = Metric::new("App", "Errors", [("App", "web")]);
    world
        .at(REGION)
        .cloudwatch
        .metrics
        .record(&metric, now, 1.0, count);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_follows_its_metric_minute_by_minute() {
    let sandbox = sandbox();
    ask(&sandbox, "PutMetricAlarm", errors()).await.unwrap();
    assert_eq!(state(&sandbox).await, "INSUFFICIENT_DATA");
    pass(60).await;
    assert_eq!(state(&sandbox).await, "OK");
    record(&sandbox, 6);
    assert_eq!(state(&sandbox).await, "OK");
    pass(60).await;
    assert_eq!(state(&sandbox).await, "ALARM");
    pass(60).await;
    assert_eq!(
        state(&sandbox).await,
        "ALARM",
        "one of the last two minutes is enough"
    );
    pass(60).await;
    assert_eq!(state(&sandbox).await, "OK");
    record(&sandbox, 5);
    pass(60).await;
    assert_eq!(state(&sandbox).await, "OK", "five are not above five");
}

#[tokio::test(start_paused = true)]
async fn missing_data_is_treated_as_the_alarm_says() {
    for (treatment, expected) in [
        ("missing", "INSUFFICIENT_DATA"),
        ("ignore", "INSUFFICIENT_DATA"),
        ("breaching", "ALARM"),
        ("notBreaching", "OK"),
    ] {
        let sandbox = sandbox();
        let mut alarm = errors();
        alarm["TreatMissingData"] = treatment.into();
        ask(&sandbox, "PutMetricAlarm", alarm).await.unwrap();
        pass(120).await;
        assert_eq!(state(&sandbox).await, expected, "{treatment}");
    }
}

#[tokio::test(start_paused = true)]
async fn metric_math_makes_a_rate() {
    let sandbox = sandbox();
    let stat = |id: &str, name: &str| {
        json!({"Id": id, "ReturnData": false, "MetricStat": {"Period": 60, "Stat": "Sum", "Metric": {
            "Namespace": "App", "MetricName": name, "Dimensions": [{"Name": "App", "Value": "web"}]}}})
    };
    let rate = json!({"Id": "rate", "Expression": "IF(all > 0, 100 * FILL(bad, 0) / all, 0)", "ReturnData": true});
    let alarm = json!({
        "AlarmName": "rate", "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Metrics": [stat("bad", "Errors"), stat("all", "Requests"), rate],
    });
    ask(&sandbox, "PutMetricAlarm", alarm.clone())
        .await
        .unwrap();
    let put = |name: &'static str, count: u64| {
        let mut world = sandbox.world();
        let now = world.now;
        let metric = Metric::new("App", name, [("App", "web")]);
        world
            .at(REGION)
            .cloudwatch
            .metrics
            .record(&metric, now, 1.0, count);
    };
    put("Requests", 200);
    put("Errors", 1);
    pass(60).await;
    assert_eq!(state(&sandbox).await, "OK");
    put("Requests", 200);
    put("Errors", 2);
    pass(60).await;
    assert_eq!(state(&sandbox).await, "ALARM");

    let mut two = alarm.clone();
    two["Metrics"][0]["ReturnData"] = true.into();
    let mut unknown = alarm.clone();
    unknown["Metrics"][2]["Expression"] = "bad / nothing".into();
    for wrong in [two, unknown] {
        assert_eq!(
            ask(&sandbox, "PutMetricAlarm", wrong).await,
            Err((400, "ValidationError".to_owned()))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_set_lasts_until_the_next_judgement() {
    let sandbox = sandbox();
    ask(&sandbox, "PutMetricAlarm", errors()).await.unwrap();
    pass(61).await;
    let set = json!({"AlarmName": "errors", "StateValue": "ALARM", "StateReason": "a rehearsal"});
    ask(&sandbox, "SetAlarmState", set).await.unwrap();
    let alarms = ask(
        &sandbox,
        "DescribeAlarms",
        json!({"AlarmNames": ["errors"]}),
    )
    .await
    .unwrap();
    assert_eq!(alarms["MetricAlarms"][0]["StateReason"], "a rehearsal");
    assert_eq!(alarms["MetricAlarms"][0]["StateValue"], "ALARM");
    pass(60).await;
    assert_eq!(state(&sandbox).await, "OK");
    let unknown = json!({"AlarmName": "none", "StateValue": "OK", "StateReason": "x"});
    assert_eq!(
        ask(&sandbox, "SetAlarmState", unknown).await,
        Err((404, "ResourceNotFound".to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn what_aws_refuses_is_refused_and_what_is_not_honoured_too() {
    let sandbox = sandbox();
    let with = |name: &str, value: Value| {
        let mut alarm = errors();
        alarm[name] = value;
        alarm
    };
    for (alarm, status) in [
        (with("ComparisonOperator", "Above".into()), 400),
        (with("Period", 45.into()), 400),
        (with("Period", 10.into()), 501),
        (with("DatapointsToAlarm", 3.into()), 400),
        (with("EvaluationPeriods", 1441.into()), 400),
        (with("Statistic", "Median".into()), 400),
        (with("TreatMissingData", "fine".into()), 400),
        (
            with(
                "AlarmActions",
                json!(["arn:aws:sns:eu-central-1:111122223333:a"]),
            ),
            501,
        ),
        (with("EvaluationInterval", 10.into()), 501),
        (with("Threshold", Value::Null), 400),
    ] {
        let answer = ask(&sandbox, "PutMetricAlarm", alarm.clone()).await;
        assert_eq!(answer.unwrap_err().0, status, "{alarm}");
    }
    assert!(sandbox.world().at(REGION).cloudwatch.alarms.is_empty());
}

#[tokio::test(start_paused = true)]
async fn alarms_are_listed_by_page_and_deleted() {
    let sandbox = sandbox();
    for name in ["a", "b", "other"] {
        let mut alarm = errors();
        alarm["AlarmName"] = name.into();
        ask(&sandbox, "PutMetricAlarm", alarm).await.unwrap();
    }
    let names = |answer: &Value| -> Vec<String> {
        let alarms = answer["MetricAlarms"].as_array().unwrap().iter();
        alarms
            .map(|alarm| alarm["AlarmName"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = ask(&sandbox, "DescribeAlarms", json!({"MaxRecords": 2}))
        .await
        .unwrap();
    assert_eq!(names(&first), ["a", "b"]);
    let rest = json!({"MaxRecords": 2, "NextToken": first["NextToken"]});
    assert_eq!(
        names(&ask(&sandbox, "DescribeAlarms", rest).await.unwrap()),
        ["other"]
    );
    let prefix = ask(&sandbox, "DescribeAlarms", json!({"AlarmNamePrefix": "o"}))
        .await
        .unwrap();
    assert_eq!(names(&prefix), ["other"]);

    let arn = prefix["MetricAlarms"][0]["AlarmArn"].clone();
    let tags = ask(&sandbox, "ListTagsForResource", json!({"ResourceARN": arn}))
        .await
        .unwrap();
    assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "web"}]));
    ask(
        &sandbox,
        "DeleteAlarms",
        json!({"AlarmNames": ["a", "other", "never"]}),
    )
    .await
    .unwrap();
    let left = ask(&sandbox, "DescribeAlarms", json!({})).await.unwrap();
    assert_eq!(names(&left), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn metric_data_is_put_and_read() {
    let sandbox = sandbox();
    let datum = json!({"MetricName": "Errors", "Value": 3.0, "Dimensions": [{"Name": "App", "Value": "web"}]});
    let put = json!({"Namespace": "App", "MetricData": [datum.clone(), datum]});
    ask(&sandbox, "PutMetricData", put).await.unwrap();
    let now = sandbox.world().now as f64 / 1_000.0;
    let query = json!({"Id": "e", "MetricStat": {"Period": 60, "Stat": "Sum", "Metric": {
        "Namespace": "App", "MetricName": "Errors", "Dimensions": [{"Name": "App", "Value": "web"}]}}});
    let get =
        json!({"MetricDataQueries": [query], "StartTime": now - 300.0, "EndTime": now + 60.0});
    let data = ask(&sandbox, "GetMetricData", get).await.unwrap();
    assert_eq!(data["MetricDataResults"][0]["Values"], json!([6.0]));
    let reserved = json!({"Namespace": "AWS/ApplicationELB", "MetricData": []});
    assert_eq!(
        ask(&sandbox, "PutMetricData", reserved)
            .await
            .unwrap_err()
            .0,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn cbor_is_spoken_too() {
    let sandbox = sandbox();
    let ask = |operation: &str, input: &Value| {
        let request = http::Request::post(format!(
            "/service/GraniteServiceVersion20100801/operation/{operation}"
        ));
        let request = request
            .header(
                "authorization",
                crate::testing::authorization("monitoring", REGION),
            )
            .header("smithy-protocol", "rpc-v2-cbor")
            .body(crate::wire::cbor::body(input))
            .unwrap();
        let sandbox = sandbox.clone();
        async move { sandbox.handle(request).await }
    };
    let put = ask("PutMetricAlarm", &errors()).await;
    assert_eq!(put.status(), 200);
    let answer = ask("DescribeAlarms", &json!({})).await;
    assert_eq!(answer.headers()["smithy-protocol"], "rpc-v2-cbor");
    let alarms = crate::wire::cbor::shown(answer.body()).unwrap();
    assert_eq!(alarms["MetricAlarms"][0]["Threshold"], 5.0);
    assert_eq!(alarms["MetricAlarms"][0]["AlarmName"], "errors");
    let unknown = json!({"AlarmName": "none", "StateValue": "OK", "StateReason": "x"});
    let refused = ask("SetAlarmState", &unknown).await;
    assert_eq!(refused.status(), 404);
    assert_eq!(
        refused.headers()["x-amzn-query-error"],
        "ResourceNotFound;Sender"
    );
}
