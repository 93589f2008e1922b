//! Functions through the API.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::Sandbox;
use crate::faults::Behaviour;
use crate::rollout::tests::role;
use crate::testing::{REGION, call, pass, request, sandbox};
use crate::wire::Protocol;

/// The input that makes a function.
pub(crate) fn function(name: &str) -> Value {
    json!({
        "FunctionName": name, "Runtime": "python3.13", "Handler": "index.handler",
        "Role": "arn:aws:iam::111122223333:role/function", "Code": {"ZipFile": "UEs="},
    })
}

async fn ask(sandbox: &Sandbox, operation: &str, input: Value) -> Result<Value, (u16, String)> {
    call(sandbox, "lambda", operation, input).await
}

/// Status, error header and body of a call of `check` with a payload.
async fn invoke(sandbox: &Sandbox, payload: Value) -> (u16, Option<String>, String) {
    let input = json!({"FunctionName": "check", "Payload": payload});
    let request = request("lambda", REGION, "Invoke", Protocol::RestJson, &input);
    let response = sandbox.handle(request).await;
    let error = response.headers().get("x-amz-function-error");
    (
        response.status().as_u16(),
        error.map(|error| error.to_str().unwrap().to_owned()),
        crate::testing::text(&response),
    )
}

#[tokio::test(start_paused = true)]
async fn a_function_comes_back_as_it_was_made() {
    let sandbox = sandbox();
    let refused = |status: u16, code: &str| Err((status, code.to_owned()));
    assert_eq!(
        ask(&sandbox, "CreateFunction", function("check")).await,
        refused(400, "InvalidParameterValueException")
    );
    role(&sandbox, "function", "lambda.amazonaws.com").await;
    pass(60).await;
    let made = ask(&sandbox, "CreateFunction", function("check"))
        .await
        .unwrap();
    assert_eq!(
        made["FunctionArn"],
        format!("arn:aws:lambda:{REGION}:111122223333:function:check")
    );
    assert_eq!(made["State"], "Pending");
    assert_eq!(
        ask(&sandbox, "CreateFunction", function("check")).await,
        refused(409, "ResourceConflictException")
    );
    pass(10).await;
    for name in [
        "check",
        "check:$LATEST",
        made["FunctionArn"].as_str().unwrap(),
    ] {
        let input = json!({"FunctionName": name});
        let have = ask(&sandbox, "GetFunctionConfiguration", input)
            .await
            .unwrap();
        assert_eq!(
            (&have["State"], &have["Handler"]),
            (&json!("Active"), &json!("index.handler"))
        );
    }
    for name in ["other", "check:live"] {
        let input = json!({"FunctionName": name});
        assert_eq!(
            ask(&sandbox, "GetFunction", input).await,
            refused(404, "ResourceNotFoundException")
        );
    }
    ask(&sandbox, "CreateFunction", function("second"))
        .await
        .unwrap();
    let listed = ask(&sandbox, "ListFunctions", json!({})).await.unwrap();
    assert_eq!(listed["Functions"].as_array().unwrap().len(), 2);
    ask(&sandbox, "DeleteFunction", json!({"FunctionName": "check"}))
        .await
        .unwrap();
    assert_eq!(
        ask(&sandbox, "DeleteFunction", json!({"FunctionName": "check"})).await,
        refused(404, "ResourceNotFoundException")
    );
    for wrong in [
        json!({"FunctionName": "a b"}),
        json!({"FunctionName": "x", "Handler": null}),
        json!({"FunctionName": "x", "Code": {}}),
    ] {
        let mut input = function("x");
        input
            .as_object_mut()
            .unwrap()
            .extend(wrong.as_object().unwrap().clone());
        assert_eq!(
            ask(&sandbox, "CreateFunction", input).await,
            refused(400, "InvalidParameterValueException"),
            "{wrong}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_behaves_as_it_is_dialled() {
    let sandbox = sandbox();
    role(&sandbox, "function", "lambda.amazonaws.com").await;
    pass(60).await;
    ask(&sandbox, "CreateFunction", function("check"))
        .await
        .unwrap();
    assert_eq!(
        invoke(&sandbox, json!({})).await,
        (200, None, "null".into())
    );
    let thrown = Behaviour::try_from(json!({"throw": {"message": "no", "log": ["before"]}}));
    sandbox
        .faults()
        .dials
        .functions
        .insert("check".to_owned(), thrown.unwrap());
    let (status, error, body) = invoke(&sandbox, json!({})).await;
    assert_eq!((status, error.as_deref()), (200, Some("Unhandled")));
    assert!(body.contains("\"errorMessage\":\"no\""), "{body}");
    let input = json!({"logGroupName": "/aws/lambda/check", "filterPattern": "before"});
    let found = call(&sandbox, "logs", "FilterLogEvents", input)
        .await
        .unwrap();
    assert_eq!(found["events"].as_array().unwrap().len(), 1);
}
