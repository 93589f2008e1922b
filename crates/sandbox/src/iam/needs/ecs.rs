//! What calls to ECS need. Must not know what they do.

use super::Desk;
use crate::services::ecs;
use crate::wire::Input as _;

pub(super) fn read(desk: &mut Desk<'_>) -> Option<()> {
    let operation = desk.operation();
    let tagged = desk.tags(desk.call.input.pairs("tags", "key", "value"));
    desk.tag_keys_of("tagKeys");
    let place = Place::of(desk);
    match operation {
        "CreateCluster" => {
            let name = match desk.text("clusterName") {
                "" => "default",
                name => name,
            };
            let arn = desk.arn("ecs", &format!("cluster/{name}"));
            desk.own(arn.clone());
            tag(desk, tagged, arn);
        }
        "DeleteCluster" | "UpdateCluster" | "UpdateClusterSettings" => {
            desk.own(place.cluster_arn.clone());
        }
        "DescribeClusters" => {
            let mut clusters = desk.call.input.texts("clusters");
            if clusters.is_empty() {
                clusters.push("default".to_owned());
            }
            for name in clusters {
                let arn = desk.arn("ecs", &format!("cluster/{}", ecs::last(&name)));
                desk.own(arn);
            }
        }
        "CreateService" => {
            let arn = place.service(desk, desk.text("serviceName"));
            service(desk, &place, arn.clone());
            tag(desk, tagged, arn);
            desk.linked_role("ecs");
        }
        "UpdateService" | "DeleteService" | "UpdateServicePrimaryTaskSet" => {
            let arn = place.service(desk, desk.text("service"));
            service(desk, &place, arn);
        }
        "DescribeServices" => {
            for name in desk.call.input.texts("services") {
                let arn = place.service(desk, &name);
                service(desk, &place, arn);
            }
        }
        "RunTask" => run_task(desk, &place, tagged),
        "ExecuteCommand" => {
            let task = format!("task/{}/{}", place.cluster, ecs::last(desk.text("task")));
            for arn in [place.cluster_arn.clone(), desk.arn("ecs", &task)] {
                place.mark(desk.own(arn));
            }
        }
        "CreateTaskSet" => create_task_set(desk, &place, tagged),
        "DeleteTaskSet" => {
            let arn = place.task_set(desk, desk.text("taskSet"));
            task_set(desk, &place, arn);
        }
        "DescribeTaskSets" => {
            let mut sets = desk.call.input.texts("taskSets");
            if sets.is_empty() {
                sets.push("*".to_owned());
            }
            for set in sets {
                let arn = place.task_set(desk, &set);
                task_set(desk, &place, arn);
            }
        }
        "RegisterTaskDefinition" => {
            let arn = desk.arn("ecs", &format!("task-definition/{}:*", desk.text("family")));
            desk.own(arn.clone());
            tag(desk, tagged, arn);
            for member in ["executionRoleArn", "taskRoleArn"] {
                desk.pass_role(desk.text(member), "ecs-tasks");
            }
        }
        "DeleteTaskDefinitions" => {
            for name in desk.call.input.texts("taskDefinitions") {
                let arn = desk.arn("ecs", &format!("task-definition/{}", ecs::last(&name)));
                desk.own(arn);
            }
        }
        "DeregisterTaskDefinition"
        | "DescribeTaskDefinition"
        | "ListClusters"
        | "ListTaskDefinitionFamilies"
        | "ListTaskDefinitions" => {
            desk.own("*");
        }
        "ListServices" => {
            place.mark(desk.own("*"));
        }
        "ListTasks" => {
            let arn = desk.arn("ecs", &format!("container-instance/{}/*", place.cluster));
            place.mark(desk.own(arn));
        }
        "DescribeTasks" | "StopTask" => {
            let mut tasks = desk.call.input.texts("tasks");
            tasks.extend(desk.call.input.text("task").map(ToOwned::to_owned));
            for task in tasks {
                let arn = desk.arn(
                    "ecs",
                    &format!("task/{}/{}", place.cluster, ecs::last(&task)),
                );
                place.mark(desk.own(arn));
            }
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            desk.own(desk.text("resourceArn"));
        }
        _ => return None,
    }
    Some(())
}

/// The cluster of a call.
struct Place {
    cluster: String,
    cluster_arn: String,
}

impl Place {
    fn of(desk: &Desk<'_>) -> Self {
        let cluster = match desk.text("cluster") {
            "" => "default".to_owned(),
            name => ecs::last(name).to_owned(),
        };
        Self {
            cluster_arn: desk.arn("ecs", &format!("cluster/{cluster}")),
            cluster,
        }
    }

    fn service(&self, desk: &Desk<'_>, name: &str) -> String {
        desk.arn(
            "ecs",
            &format!("service/{}/{}", self.cluster, ecs::last(name)),
        )
    }

    fn task_set(&self, desk: &Desk<'_>, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        let service = ecs::last(desk.text("service"));
        desk.arn(
            "ecs",
            &format!("task-set/{}/{service}/{name}", self.cluster),
        )
    }

    fn mark(&self, need: &mut super::Need) {
        need.context.set("ecs:cluster", self.cluster_arn.clone());
    }
}

fn service(desk: &mut Desk<'_>, place: &Place, arn: String) {
    let definition = desk
        .call
        .input
        .text("taskDefinition")
        .map(|name| definition(desk, name));
    let need = desk.own(arn);
    place.mark(need);
    if let Some(definition) = definition {
        need.context.set("ecs:task-definition", definition);
    }
}

fn task_set(desk: &mut Desk<'_>, place: &Place, arn: String) {
    let service = place.service(desk, desk.text("service"));
    let need = desk.own(arn);
    place.mark(need);
    need.context.set("ecs:service", service);
}

/// Creating a task set knows no resource, only conditions; it hands the roles of its definition to the tasks.
fn create_task_set(desk: &mut Desk<'_>, place: &Place, tagged: bool) {
    let name = desk.text("taskDefinition");
    task_set(desk, place, "*".to_owned());
    let arn = definition(desk, name);
    if let Some(need) = desk.needs.last_mut() {
        need.context.set("ecs:task-definition", arn);
    }
    if tagged {
        let new = place.task_set(desk, "*");
        tag(desk, true, new);
    }
    let found = ecs::find_definition(desk.world, &desk.call.region, name);
    for member in ["executionRoleArn", "taskRoleArn"] {
        let role = found.and_then(|found| found.content.text(member));
        desk.pass_role(role.unwrap_or_default(), "ecs-tasks");
    }
}

/// Starting a task is about its definition; it hands the definition's roles, or others in their place, to the task.
fn run_task(desk: &mut Desk<'_>, place: &Place, tagged: bool) {
    let name = desk.text("taskDefinition");
    let arn = definition(desk, name);
    place.mark(desk.own(arn));
    if tagged {
        let new = desk.arn("ecs", &format!("task/{}/*", place.cluster));
        tag(desk, true, new);
    }
    let found = ecs::find_definition(desk.world, &desk.call.region, name);
    for member in ["executionRoleArn", "taskRoleArn"] {
        let instead = desk.call.input.get("overrides");
        let role = instead
            .and_then(|overrides| overrides.text(member))
            .or_else(|| found.and_then(|found| found.content.text(member)));
        desk.pass_role(role.unwrap_or_default(), "ecs-tasks");
    }
}

/// The ARN of a definition, which ECS resolves before it asks.
fn definition(desk: &Desk<'_>, name: &str) -> String {
    match ecs::find_definition(desk.world, &desk.call.region, name) {
        Some(found) => found.arn.clone(),
        None => desk.arn("ecs", &format!("task-definition/{}", ecs::last(name))),
    }
}

fn tag(desk: &mut Desk<'_>, tagged: bool, arn: String) {
    if tagged {
        let operation = desk.operation();
        desk.need("ecs:TagResource", arn)
            .context
            .set("ecs:CreateAction", operation);
    }
}
