//! A full rollout story of the tutorial's app, told by API calls that no role takes part in, and the first thing in it that goes
//! wrong. Must not know which permissions are missing.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ecspipe_sandbox::Sandbox;
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::stage::REGION;
use crate::wire::{answer, json_call, signed};

/// The name of the app, and of most that belongs to it.
pub(super) const APP: &str = "ecs-deployment-pipeline";

/// How long a rollout may take until something is wrong with it, in seconds.
const PATIENCE: u64 = 90 * 60;

/// How often the story looks.
const LOOK: u64 = 10;

/// The story on one account.
pub(super) struct Story<'a> {
    sandbox: &'a Sandbox,
    /// When it began, in milliseconds since 1970.
    begun: i64,
}

/// What went wrong first: where in the story, and what.
pub(super) type Told<T> = Result<T, String>;

impl<'a> Story<'a> {
    pub(super) fn new(sandbox: &'a Sandbox) -> Self {
        Self {
            sandbox,
            begun: sandbox.clock().now(),
        }
    }

    /// A push, a build, a shift with a human in between; a second one with the layer cache and a canary that is stopped and rolled
    /// back; the first version again; and new deployment files.
    pub(super) async fn tell(&self) -> Told<()> {
        let first = self.push("first").await?;
        let deployment = self.until_ready("the first rollout", &first).await?;
        self.go_on("the first rollout", &deployment).await?;
        self.until_executed("the first rollout", &first).await?;
        self.read_build_log(&first).await?;
        self.read_task_log().await?;

        self.canary().await;
        let second = self.push("second").await?;
        let stopped = self.until_ready("the second rollout", &second).await?;
        self.see_cache(&second).await?;
        self.stop_half_way(&stopped).await?;

        self.again(&deployment).await?;
        self.new_files().await
    }

    /// From here on builds push to another repository.
    pub(super) async fn push_to(&self, repository: &str) {
        let input = json!({ "names": [APP] });
        let answer = self.ask("codebuild", "BatchGetProjects", input).await;
        let environment = answer["projects"][0]["environment"].to_string();
        let own = format!(".amazonaws.com/{APP}\"");
        assert!(environment.contains(&own), "{environment}");
        let others = format!(".amazonaws.com/{repository}\"");
        let environment: Value = serde_json::from_str(&environment.replace(&own, &others)).unwrap();
        let input = json!({ "name": APP, "environment": environment });
        self.ask("codebuild", "UpdateProject", input).await;
    }

    /// Pushes a page with git; answers the execution that this starts.
    async fn push(&self, page: &str) -> Told<String> {
        let before = self.executions().await.len();
        let files = BTreeMap::from([
            (
                "Dockerfile".to_owned(),
                b"FROM httpd:2.4.58\nCOPY ./src/ /usr/local/apache2/htdocs/\nEXPOSE 80\n".to_vec(),
            ),
            ("src/index.html".to_owned(), page.as_bytes().to_vec()),
        ]);
        self.sandbox
            .push(REGION, APP, "main", &files, page)
            .unwrap();
        pass(LOOK).await;
        let executions = self.executions().await;
        match executions.len() > before {
            true => Ok(executions[0].clone()),
            false => Err(format!("the {page} push starts no run of the pipeline")),
        }
    }

    /// The pipeline's executions, newest first.
    async fn executions(&self) -> Vec<String> {
        let answer = self
            .ask(
                "codepipeline",
                "ListPipelineExecutions",
                json!({ "pipelineName": APP }),
            )
            .await;
        let list = answer["pipelineExecutionSummaries"].as_array().unwrap();
        let id = |item: &Value| item["pipelineExecutionId"].as_str().unwrap().to_owned();
        list.iter().map(id).collect()
    }

    /// Follows an execution until its deployment waits for a human; answers the deployment.
    async fn until_ready(&self, label: &str, execution: &str) -> Told<String> {
        for _ in 0..PATIENCE / LOOK {
            pass(LOOK).await;
            let actions = self.actions(label, execution).await?;
            if let Some(id) = actions.get("Deploy").filter(|id| !id.is_empty())
                && self.deployment(label, id).await? == "Ready"
            {
                return Ok(id.clone());
            }
            self.see_tasks(label).await?;
        }
        Err(format!("{label} never gets ready"))
    }

    /// The external ids of an execution's actions.
    async fn actions(&self, label: &str, execution: &str) -> Told<BTreeMap<String, String>> {
        let input = json!({ "pipelineName": APP, "filter": { "pipelineExecutionId": execution } });
        let answer = self
            .ask("codepipeline", "ListActionExecutions", input)
            .await;
        let mut actions = BTreeMap::new();
        for run in answer["actionExecutionDetails"].as_array().unwrap() {
            let name = run["actionName"].as_str().unwrap();
            let result = &run["output"]["executionResult"];
            let id = result["externalExecutionId"].as_str().unwrap_or_default();
            if run["status"] == "Failed" {
                return Err(self.failed_action(label, name, id, result).await);
            }
            actions.insert(name.to_owned(), id.to_owned());
        }
        Ok(actions)
    }

    /// How an action failed: where a build or a deployment is behind it, how that failed.
    async fn failed_action(&self, label: &str, name: &str, id: &str, result: &Value) -> String {
        match name {
            "Build" if !id.is_empty() => {
                let answer = self
                    .ask("codebuild", "BatchGetBuilds", json!({ "ids": [id] }))
                    .await;
                let phases = answer["builds"][0]["phases"].as_array().unwrap().clone();
                let failed = phases.iter().find(|phase| phase["phaseStatus"] == "FAILED");
                match failed {
                    Some(phase) => {
                        let code = phase["contexts"][0]["statusCode"].as_str();
                        format!(
                            "{label}: the build fails in {} ({})",
                            phase["phaseType"].as_str().unwrap(),
                            code.unwrap_or_default()
                        )
                    }
                    None => format!("{label}: the action Build fails"),
                }
            }
            "Deploy" if !id.is_empty() => match self.deployment(label, id).await {
                Err(why) => why,
                Ok(_) => format!("{label}: the action Deploy fails"),
            },
            _ => {
                let code = result["errorDetails"]["code"].as_str().unwrap_or_default();
                format!("{label}: the action {name} fails ({code})")
            }
        }
    }

    /// A deployment's status; an error where it failed.
    async fn deployment(&self, label: &str, id: &str) -> Told<String> {
        let answer = self
            .ask("codedeploy", "GetDeployment", json!({ "deploymentId": id }))
            .await;
        let info = &answer["deploymentInfo"];
        let status = info["status"].as_str().unwrap().to_owned();
        match status.as_str() {
            "Failed" => {
                let code = info["errorInformation"]["code"]
                    .as_str()
                    .unwrap_or_default();
                Err(format!("{label}: the deployment fails ({code})"))
            }
            _ => Ok(status),
        }
    }

    async fn until(&self, label: &str, deployment: &str, wanted: &str) -> Told<()> {
        for _ in 0..PATIENCE / LOOK {
            if self.deployment(label, deployment).await? == wanted {
                return Ok(());
            }
            self.see_tasks(label).await?;
            pass(LOOK).await;
        }
        Err(format!("{label}: the deployment never gets {wanted}"))
    }

    /// Whether no task stopped because it couldn't start.
    async fn see_tasks(&self, label: &str) -> Told<()> {
        let input = json!({ "cluster": APP, "desiredStatus": "STOPPED" });
        let arns = self.ask("ecs", "ListTasks", input).await["taskArns"].clone();
        if arns.as_array().unwrap().is_empty() {
            return Ok(());
        }
        let input = json!({ "cluster": APP, "tasks": arns });
        let answer = self.ask("ecs", "DescribeTasks", input).await;
        let failed = answer["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|task| task["stopCode"] == "TaskFailedToStart");
        match failed {
            None => Ok(()),
            Some(task) => {
                let reason = task["stoppedReason"].as_str().unwrap();
                let kind = reason.split(':').next().unwrap();
                Err(format!("{label}: the task stops ({kind})"))
            }
        }
    }

    /// Lets a deployment go on that waits for a human, to its end.
    async fn go_on(&self, label: &str, deployment: &str) -> Told<()> {
        self.reroute(deployment).await;
        self.until(label, deployment, "Succeeded").await
    }

    async fn reroute(&self, deployment: &str) {
        let input = json!({ "deploymentId": deployment, "deploymentWaitType": "READY_WAIT" });
        self.ask("codedeploy", "ContinueDeployment", input).await;
    }

    async fn until_executed(&self, label: &str, execution: &str) -> Told<()> {
        for _ in 0..PATIENCE / LOOK {
            self.actions(label, execution).await?;
            let input = json!({ "pipelineName": APP, "pipelineExecutionId": execution });
            let answer = self
                .ask("codepipeline", "GetPipelineExecution", input)
                .await;
            if answer["pipelineExecution"]["status"] == "Succeeded" {
                return Ok(());
            }
            pass(LOOK).await;
        }
        Err(format!("{label}: the run of the pipeline never succeeds"))
    }

    async fn read_build_log(&self, execution: &str) -> Told<()> {
        match self.build_log(execution).await.is_empty() {
            true => Err("the first rollout: the build leaves no log".to_owned()),
            false => Ok(()),
        }
    }

    /// What an execution's build wrote to its log.
    async fn build_log(&self, execution: &str) -> String {
        let actions = self.actions("", execution).await.unwrap();
        let input = json!({ "ids": [actions["Build"]] });
        let answer = self.ask("codebuild", "BatchGetBuilds", input).await;
        let logs = &answer["builds"][0]["logs"];
        let input = json!({
            "logGroupName": logs["groupName"],
            "logStreamNamePrefix": logs["streamName"],
        });
        self.lines(input).await
    }

    /// Whether the tasks that the story started wrote to their log.
    async fn read_task_log(&self) -> Told<()> {
        let input = json!({ "logGroupNamePrefix": "/ecs/" });
        let answer = self.ask("logs", "DescribeLogGroups", input).await;
        let group = &answer["logGroups"][0]["logGroupName"];
        let input = json!({ "logGroupName": group, "startTime": self.begun });
        match self.lines(input).await.is_empty() {
            true => Err("the first rollout: the tasks leave no log".to_owned()),
            false => Ok(()),
        }
    }

    async fn lines(&self, mut input: Value) -> String {
        let mut lines = String::new();
        loop {
            let answer = self.ask("logs", "FilterLogEvents", input.clone()).await;
            for event in answer["events"].as_array().unwrap() {
                lines += event["message"].as_str().unwrap();
                lines.push('\n');
            }
            match answer.get("nextToken").filter(|token| token.is_string()) {
                Some(token) => input["nextToken"] = token.clone(),
                None => return lines,
            }
        }
    }

    /// From here on traffic shifts in two steps.
    async fn canary(&self) {
        let input = json!({
            "applicationName": APP,
            "currentDeploymentGroupName": APP,
            "deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent5Minutes",
        });
        self.ask("codedeploy", "UpdateDeploymentGroup", input).await;
    }

    async fn see_cache(&self, execution: &str) -> Told<()> {
        let log = self.build_log(execution).await;
        let used = log
            .lines()
            .any(|line| line.starts_with("[Sandbox] importing cache manifest from "));
        match used {
            true => Ok(()),
            false => Err("the second rollout: the build does without its layer cache".to_owned()),
        }
    }

    /// Stops a canary while it has some of the traffic; the rollback must succeed.
    async fn stop_half_way(&self, deployment: &str) -> Told<()> {
        let label = "the stopped canary";
        self.reroute(deployment).await;
        pass(60).await;
        let input = json!({ "deploymentId": deployment, "autoRollbackEnabled": true });
        self.ask("codedeploy", "StopDeployment", input).await;
        pass(LOOK).await;
        let input = json!({ "deploymentId": deployment });
        let answer = self.ask("codedeploy", "GetDeployment", input).await;
        let rollback = &answer["deploymentInfo"]["rollbackInfo"]["rollbackDeploymentId"];
        match rollback.as_str() {
            Some(id) => self.until(label, id, "Succeeded").await,
            None => Err(format!("{label} is not rolled back")),
        }
    }

    /// Deploys what an earlier deployment deployed.
    async fn again(&self, deployment: &str) -> Told<()> {
        let label = "the first version again";
        let input = json!({ "deploymentId": deployment });
        let answer = self.ask("codedeploy", "GetDeployment", input).await;
        let input = json!({
            "applicationName": APP,
            "deploymentGroupName": APP,
            "revision": answer["deploymentInfo"]["revision"],
        });
        let answer = self.ask("codedeploy", "CreateDeployment", input).await;
        let id = answer["deploymentId"].as_str().unwrap();
        self.until(label, id, "Ready").await?;
        self.go_on(label, id).await
    }

    /// Puts the bundle again, which starts the pipeline; the image of the last commit is used again.
    async fn new_files(&self) -> Told<()> {
        let label = "the new deployment files";
        let before = self.executions().await.len();
        let bucket = format!("{APP}-artifacts-111122223333-{REGION}");
        let bucket = self.bucket().unwrap_or(bucket);
        let bundle = self
            .s3(Method::GET, &format!("/{bucket}/bundle.zip"), Bytes::new())
            .await;
        self.s3(Method::PUT, &format!("/{bucket}/bundle.zip"), bundle)
            .await;
        pass(LOOK).await;
        let executions = self.executions().await;
        if executions.len() == before {
            return Err(format!("{label} start no run of the pipeline"));
        }
        self.until_ready(label, &executions[0]).await.map(|_| ())
    }

    /// The app's bucket.
    fn bucket(&self) -> Option<String> {
        self.sandbox.world().s3.buckets.keys().next().cloned()
    }

    /// Calls an operation that must work.
    async fn ask(&self, service: &str, operation: &str, input: Value) -> Value {
        json_call(self.sandbox, service, operation, &input).await
    }

    async fn s3(&self, method: Method, uri: &str, body: Bytes) -> Bytes {
        let request = signed(Request::builder().method(method).uri(uri), "s3").body(body);
        answer(self.sandbox, request.unwrap()).await
    }
}

/// Lets virtual time pass.
async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}
