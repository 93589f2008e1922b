//! What the parser says about wrong files: for each rule the place, the message and the hint. Must not look inside the parser.
#![allow(clippy::unwrap_used)]

use ecspipe_spec::{Problem, ProblemKind, parse};

/// The shortest legal file, with `extra` behind it from line 5 on.
fn file(extra: &str) -> String {
    format!("version: 1\napp: web\nservice:\n  port: 80\n{extra}")
}

/// The shortest legal file with `extra` in its service, from line 5 on.
fn service(extra: &str) -> String {
    file(
        &extra
            .lines()
            .map(|line| format!("  {line}\n"))
            .collect::<String>(),
    )
}

fn problems(text: &str) -> Vec<Problem> {
    parse(text).err().unwrap_or_default()
}

/// Parses `text` and compares every problem, one a line.
#[track_caller]
fn check(text: &str, want: &[&str]) {
    let have: Vec<String> = problems(text).iter().map(ToString::to_string).collect();
    assert_eq!(have, want, "in\n{text}");
}

/// A table of files and their problems.
macro_rules! cases {
    ($($name:ident: $text:expr => [$($want:expr),* $(,)?];)*) => {
        $(#[test] fn $name() { check(&($text), &[$($want),*]); })*
    };
}

cases! {
    a_network_twice: file("network:\n  existing: { vpc: { name: shared }, public: { tags: { a: b } }, private: { tags: { a: c } } }\n  cidr: 10.0.0.0/16\n  zones: 2\n  nat: single\n") => ["7:9: network.cidr: `cidr` can't be set beside `existing` (leave it out: it is the existing network's own)", "8:10: network.zones: `zones` can't be set beside `existing` (leave it out: it is the existing network's own)", "9:8: network.nat: `nat` can't be set beside `existing` (leave it out: it is the existing network's own)"];
    a_network_in_parts: file("network: { existing: {} }\n") => ["5:12: network.existing: the load balancer needs `public` subnets (name them (`public: { tags: … }`), or a `load_balancer.existing`)", "5:12: network.existing.private: `private` is missing", "5:12: network.existing.vpc: `vpc` is missing"];
    a_balancer_without_its_network: file("load_balancer: { existing: { name: shared }, test: { allow: [10.0.0.0/8] } }\n") => ["5:18: load_balancer.existing: an existing load balancer needs `network.existing`: the tasks must be in its VPC (name its VPC: `network: { existing: { vpc: …, private: … } }`)", "5:54: load_balancer.test.allow: `allow` can't be set beside `load_balancer.existing`: its security groups say who may reach it (leave it out)"];
    subnets_of_nobody: file("network: { existing: { vpc: { name: shared }, public: { tags: { a: b } }, private: { ids: [subnet-0123456789abcdef0] } } }\nload_balancer: { existing: { name: shared } }\n") => ["5:47: network.existing.public: `public` can't be set beside `load_balancer.existing`, which has subnets (leave it out)"];
    a_listeners_rule: file("load_balancer: { production: { rule: { host: a.example } }, test: { rules: 1 } }\n") => ["5:32: load_balancer.production.rule: a rule of a listener can't be the traffic route of `engine: codedeploy`: CodeDeploy takes whole listeners (give the app ports of its own on the load balancer: `port: 8081`)", "5:69: load_balancer.test.rules: `rules` is not a key here (allowed here: port, allow)"];
    references_of_no_form: file("cluster: { existing: {} }\nkms_key: { existing: { id: x, name: y } }\nroles: { task: {} }\npermissions_boundary: boundary\n") => ["5:12: cluster.existing: nothing says what is meant (write exactly one of `id`, `name`, `tags`)", "6:12: kms_key.existing: several ways to say what is meant (write exactly one of `id`, `name`, `tags`)", "7:10: roles.task.existing: `existing` is missing", "8:23: permissions_boundary: want a mapping of keys to values, have the text `boundary`"];
    references_by_nothing: file("cluster: { existing: { tags: {} } }\nkms_key: { existing: { name: '' } }\n") => ["5:24: cluster.existing.tags: no tag is named, so everything would do (name a tag and its value: `tags: { team: platform }`)", "6:30: kms_key.existing.name: `` is not the name of a KMS key (a name is written like `alias/shared`)"];
    ids_of_other_things: file("cluster: { existing: { id: shared } }\nkms_key: { existing: { id: alias/shared } }\nroles: { task: { existing: { id: 'arn:aws:iam::111122223333:user/a' } } }\npermissions_boundary: { id: 'arn:aws:iam::111122223333:role/a' }\n") => ["5:28: cluster.existing.id: `shared` is not the ARN of an ECS cluster (it is written like `arn:aws:ecs:REGION:ACCOUNT:cluster/NAME`)", "6:28: kms_key.existing.id: `alias/shared` is not the ARN of a KMS key (it is written like `arn:aws:kms:REGION:ACCOUNT:key/ID`)", "7:34: roles.task.existing.id: `arn:aws:iam::111122223333:user/a` is not the ARN of an IAM role (it is written like `arn:aws:iam::ACCOUNT:role/NAME`)", "8:29: permissions_boundary.id: `arn:aws:iam::111122223333:role/a` is not the ARN of a managed policy (it is written like `arn:aws:iam::ACCOUNT:policy/NAME`)"];
    ids_of_a_network: file("network: { existing: { vpc: { id: vpc-1 }, public: { ids: [subnet-12345678, subnet-12345678] }, private: { ids: [sg-12345678] } } }\n") => ["5:35: network.existing.vpc.id: `vpc-1` is not the id of a VPC (it is written like `vpc-0123456789abcdef0`)", "5:77: network.existing.public.ids[1]: subnet-12345678 is here twice (keep one of them)", "5:114: network.existing.private.ids[0]: `sg-12345678` is not the id of a subnet (an id is written like `subnet-0123456789abcdef0`)"];
    things_of_elsewhere: "version: 1\napp: web\naccount: '111122223333'\nregion: eu-central-1\nservice: { port: 80 }\ncluster: { existing: { id: 'arn:aws:ecs:eu-west-1:111122223333:cluster/shared' } }\nroles: { task: { existing: { id: 'arn:aws:iam::999999999999:role/a' } } }\n" => ["6:28: cluster.existing.id: it is in region eu-west-1, the app in eu-central-1 (name one of eu-central-1)", "7:34: roles.task.existing.id: it is in account 999999999999, the app in 111122223333 (name one of account 111122223333)"];
    a_network_balancer: file("network: { existing: { vpc: { name: shared }, private: { tags: { a: c } } } }\nload_balancer: { existing: { id: 'arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/net/shared/50dc6c495c0c9188' } }\n") => ["6:34: load_balancer.existing.id: `arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadb…` is not the ARN of an application load balancer (it is written like `arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID`)"];
    a_path_of_roles: file("role_path: apps\n") => ["5:12: role_path: `apps` is not allowed (`/`, or names between slashes such as `/platform/apps/`, at most 512 characters, not under `/aws-service-role/`)"];
    a_path_of_aws: file("role_path: /aws-service-role/x/\n") => ["5:12: role_path: `/aws-service-role/x/` is not allowed (`/`, or names between slashes such as `/platform/apps/`, at most 512 characters, not under `/aws-service-role/`)"];
    an_empty_file: "" => ["1:1: the file is empty (the shortest spec is `version: 1`, `app: NAME` and `service: { port: PORT }`)"];
    a_file_of_comments: "# nothing yet\n" => ["1:1: the file is empty (the shortest spec is `version: 1`, `app: NAME` and `service: { port: PORT }`)"];
    a_list: "- 1\n" => ["1:1: want a mapping of keys to values, have a list"];
    a_word: "web\n" => ["1:1: want a mapping of keys to values, have the text `web`"];
    an_open_bracket: "version: 1\nnetwork: [\n" => ["2:10: not valid YAML: unclosed bracket '['"];
    a_tab: "version: 1\nservice:\n\tport: 80\n" => ["3:2: not valid YAML: tabs disallowed within this context (block indentation) (indent with spaces)"];
    a_colon_too_many: "version: 1\napp: web: blue\n" => ["2:9: not valid YAML: mapping values are not allowed in this context (check the indentation, and put text that holds `: ` in quotes)"];
    two_documents: file("---\nversion: 1\n") => ["5:1: the file holds more than one YAML document (one file describes one app: put the second document, after `---`, in its own file)"];
    an_anchor: "version: &v 1\n" => ["1:13: YAML anchors (`&name`) and aliases (`*name`) are not supported (write the value out; put text that starts with `&` or `*` in quotes)"];
    an_alias: "version: *v\n" => ["1:10: YAML anchors (`&name`) and aliases (`*name`) are not supported (write the value out; put text that starts with `&` or `*` in quotes)"];
    an_unknown_tag: "version: !one 1\n" => ["1:15: unsupported tag `!one` (leave the tag out: a spec needs none)"];
    nested_too_deep: "[".repeat(40) => ["1:17: the file is nested deeper than 16 levels"];
    blocks_nested_too_deep: (0..40).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>() => ["17:17: the file is nested deeper than 16 levels"];
    a_merge_key: file("<<: { app: web }\n") => ["5:1: <<: `<<` is not a key here (allowed here: version, app, account, region, network, cluster, service, load_balancer, source, build, deploy, kms_key, roles, permissions_boundary, role_path, tags)"];
    everything_is_missing: "{}\n" => ["1:1: app: `app` is missing", "1:1: service: `service` is missing", "1:1: version: `version` is missing"];
    only_a_version: "version: 1\n" => ["1:1: app: `app` is missing", "1:1: service: `service` is missing"];
    unknown_keys: file("networks: {}\nfoo: 1\n") + "load-balancer: {}\n" => ["5:1: networks: `networks` is not a key here (did you mean `network`?)", "6:1: foo: `foo` is not a key here (allowed here: version, app, account, region, network, cluster, service, load_balancer, source, build, deploy, kms_key, roles, permissions_boundary, role_path, tags)", "7:1: load-balancer: `load-balancer` is not a key here (did you mean `load_balancer`?)"];
    unknown_keys_deep: "version: 1\napp: web\nservice:\n  prot: 80\n  health_check:\n    pfad: /\n" => ["3:1: service.port: `port` is missing", "4:3: service.prot: `prot` is not a key here (did you mean `port`?)", "6:5: service.health_check.pfad: `pfad` is not a key here (allowed here: path, interval, timeout, healthy, unhealthy, status, grace)"];
    a_key_twice: file("app: web2\n") => ["5:1: app: `app` is here twice: line 2 has it already (keep one of them)"];
    a_key_twice_deep: service("cpu: 256\ncpu: 512\ncpu: 1024\n") => ["6:3: service.cpu: `cpu` is here twice: line 5 has it already (keep one of them)", "7:3: service.cpu: `cpu` is here twice: line 5 has it already (keep one of them)"];
    a_key_that_is_no_text: file("1: x\n[a]: y\ntrue: z\n") => ["5:1: a key must be text, have the number 1 (put it in quotes)", "6:1: a key must be text, have a list (put it in quotes)", "7:1: a key must be text, have the truth value `true` (put it in quotes)"];
    a_key_without_a_value: "version: 1\napp: web\nservice:\nport: 80\n" => ["3:1: service: the key has no value (give it a value or leave the key out; check the indentation of what should be in it)", "4:1: port: `port` is not a key here (allowed here: version, app, account, region, network, cluster, service, load_balancer, source, build, deploy, kms_key, roles, permissions_boundary, role_path, tags)"];
    wrong_types: "version: \"1\"\napp: 17\nregion: [eu]\nservice: 80\nnetwork: web\ntags: [a]\n" => ["1:10: version: want a whole number, have the text `1`", "2:6: app: want text, have the number 17 (write it in quotes: \"17\")", "3:1: region: want text, have a list", "4:10: service: want a mapping of keys to values, have the number 80", "5:10: network: want a mapping of keys to values, have the text `web`", "6:1: tags: want a mapping of keys to values, have a list"];
    more_wrong_types: service("cpu: small\nmemory: 1.5\ndesired_count: \"2\"\nimage: 2.4\nhealth_check: /\n") => ["5:8: service.cpu: want a whole number, have the text `small`", "6:11: service.memory: want a whole number, have the number 1.5", "7:18: service.desired_count: want a whole number, have the text `2`", "8:10: service.image: want text, have the number 2.4 (write it in quotes: \"2.4\")", "9:17: service.health_check: want a mapping of keys to values, have the text `/`"];
    numbers_of_other_languages: service("cpu: 0256\nmemory: 1_024\n") => ["5:8: service.cpu: want a whole number, have the text `0256`", "6:11: service.memory: want a whole number, have the text `1_024`"];
    text_that_looks_like_a_number: file("source: { codecommit: { repository: 1.10, branch: yes } }\nbuild: { context: true }\n") => ["5:37: source.codecommit.repository: want text, have the number 1.1 (write it in quotes: \"1.10\")", "6:19: build.context: want text, have the truth value `true` (write it in quotes: \"true\")"];
    a_list_that_is_none: file("load_balancer: { production: { allow: 0.0.0.0/0 }, test: { allow: [1, 10.0.0.0/8] } }\n") => ["5:39: load_balancer.production.allow: want a list, have the text `0.0.0.0/0`", "5:68: load_balancer.test.allow[0]: want text, have the number 1 (write it in quotes: \"1\")"];
    zones_of_the_wrong_type: file("network: { zones: two }\n") => ["5:19: network.zones: want a number of zones, or a list of zones with their subnets, have the text `two`"];
    a_zone_in_parts: file("network:\n  zones:\n    - { name: eu-central-1a, public: 10.0.0.0/24 }\n    - eu-central-1b\n") => ["7:7: network.zones[0].private: `private` is missing", "8:7: network.zones[1]: want a mapping of keys to values, have the text `eu-central-1b`"];
    words_not_allowed: file("network: { nat: perzone }\ndeploy: { engine: ec2, strategy: linaer, rollback_on: [fail, x] }\n") => ["5:17: network.nat: `perzone` is not allowed here (did you mean `per_zone`? allowed: `per_zone`, `single`, `none`)", "6:19: deploy.engine: `ec2` is not allowed here (allowed: `codedeploy`)", "6:34: deploy.strategy: `linaer` is not allowed here (did you mean `linear`? allowed: `all_at_once`, `canary`, `linear`)", "6:56: deploy.rollback_on[0]: `fail` is not allowed here (did you mean `failure`? allowed: `failure`, `stop`, `alarm`)", "6:62: deploy.rollback_on[1]: `x` is not allowed here (allowed: `failure`, `stop`, `alarm`)"];
    what_comes_later: file("deploy: { engine: ecs }\n") => ["5:19: deploy.engine: `ecs` is not supported yet (use `codedeploy`)"];
    a_rollback_by_no_alarm: file("deploy: { rollback_on: [alarm] }\n") => ["5:25: deploy.rollback_on[0]: no alarm can roll back: `deploy.alarms` is empty (name or declare one: `alarms: [{ http_5xx: { above: 1%, for: 2m } }]`)"];
    alarms_of_no_form: file("deploy:\n  alarms:\n    - 5\n    - {}\n    - { http_5xx: { above: 1%, for: 2m }, latency: { p: 99, above: 1s, for: 2m } }\n    - { http5xx: { above: 1%, for: 2m } }\n    - latency\n    - ''\n") => ["7:7: deploy.alarms[0]: want the name of an alarm, or a mapping with `http_5xx`, `latency` or `unhealthy_targets`, have the number 5", "8:7: deploy.alarms[1]: nothing says what is watched (write one of `http_5xx`, `latency`, `unhealthy_targets`)", "9:7: deploy.alarms[2]: several conditions in one item of the list (give each an item of its own)", "10:7: deploy.alarms[3]: nothing says what is watched (write one of `http_5xx`, `latency`, `unhealthy_targets`)", "10:9: deploy.alarms[3].http5xx: `http5xx` is not a key here (did you mean `http_5xx`?)", "11:7: deploy.alarms[4]: `latency` needs its parts (write `latency: { p: 99, above: 800ms, for: 3m }`)", "12:7: deploy.alarms[5]: `` is not the name of an alarm (1 to 255 characters, none of them a control character)"];
    alarms_in_a_mapping: file("deploy: { alarms: { http_5xx: { above: 1%, for: 2m } } }\n") => ["5:11: deploy.alarms: want a list, have a mapping"];
    alarms_in_parts: file("deploy:\n  alarms:\n    - http_5xx: {}\n    - latency: { p: high, above: 800 }\n    - unhealthy_targets: { above: one }\n") => ["7:7: deploy.alarms[0].http_5xx.above: `above` is missing", "7:7: deploy.alarms[0].http_5xx.for: `for` is missing", "8:7: deploy.alarms[1].latency.for: `for` is missing", "8:21: deploy.alarms[1].latency.p: want a number, have the text `high`", "8:34: deploy.alarms[1].latency.above: want a short time, such as 800ms or 2s, have the number 800", "9:7: deploy.alarms[2].unhealthy_targets.for: `for` is missing", "9:35: deploy.alarms[2].unhealthy_targets.above: want a whole number, have the text `one`"];
    alarms_out_of_range: file("deploy:\n  alarms:\n    - http_5xx: { above: 1, for: 90s }\n    - http_5xx: { above: 100%, for: 61m }\n    - latency: { p: 99.95, above: 4001s, for: 0m }\n    - latency: { p: 100, above: 0ms, for: 2m }\n    - unhealthy_targets: { above: -1, for: 2 }\n") => ["7:26: deploy.alarms[0].http_5xx.above: want a part in percent, such as 1% or 0.5%, have the number 1", "7:34: deploy.alarms[0].http_5xx.for: 90s is not a whole number of minutes (a load balancer counts by the minute: write `2m`)", "8:26: deploy.alarms[1].http_5xx.above: no part is more than 100% (99% is the most that can be exceeded)", "8:37: deploy.alarms[1].http_5xx.for: 61m is out of range (from 1m to 60m)", "9:21: deploy.alarms[2].latency.p: 99.95 is not a percentile (from 1 to 99.9, with one decimal at the most)", "9:35: deploy.alarms[2].latency.above: 4001s is out of range (from 1ms to 4000s, the longest that a load balancer waits)", "9:47: deploy.alarms[2].latency.for: 0m is out of range (from 1m to 60m)", "10:21: deploy.alarms[3].latency.p: 100 is not a percentile (from 1 to 99.9, with one decimal at the most)", "10:33: deploy.alarms[3].latency.above: 0ms is out of range (from 1ms to 4000s, the longest that a load balancer waits)", "11:35: deploy.alarms[4].unhealthy_targets.above: -1 is not a number of targets (from 0 to 5000)", "11:44: deploy.alarms[4].unhealthy_targets.for: want a number with its unit, such as 90s, 60m or 2h, have the number 2"];
    alarms_that_read_wrong: file("deploy: { alarms: [{ http_5xx: { above: 1.125%, for: 2x } }, { latency: { p: 99, above: 2m, for: 2m } }] }\n") => ["5:41: deploy.alarms[0].http_5xx.above: `1.125%` is not a part in percent: write a number from 0 to 100, with two decimals at the most, and `%`, such as 1% or 0.5%", "5:54: deploy.alarms[0].http_5xx.for: `2x` is not a time span: write a whole number and a unit, such as 90s, 60m, 2h or 1d", "5:89: deploy.alarms[1].latency.above: `2m` is not a short time: write a whole number and a unit, such as 800ms or 2s"];
    alarms_twice: file("deploy:\n  alarms:\n    - a\n    - http_5xx: { above: 1%, for: 2m }\n    - a\n    - http_5xx: { above: 2%, for: 2m }\n    - latency: { p: 99, above: 1s, for: 2m }\n    - latency: { p: 50, above: 1s, for: 2m }\n") => ["9:7: deploy.alarms[2]: the alarm `a` is here twice: line 7 has it already (keep one of them)", "10:7: deploy.alarms[3]: `http_5xx` is here twice: line 8 has it already (keep one of them)"];
    too_many_alarms: file("deploy: { alarms: [a, b, c, d, e, f, g, { http_5xx: { above: 1%, for: 2m } }, { unhealthy_targets: { for: 2m } }] }\n") => ["5:11: deploy.alarms: 11 alarms, at most 10 are allowed in a deployment group (a name counts once, a declared one twice: there is one for each target group)"];
    an_alarm_that_comes_too_late: file("deploy:\n  keep_old: 1m\n  strategy: { canary: { percent: 10, wait: 1m } }\n  alarms:\n    - http_5xx: { above: 1%, for: 2m }\n    - unhealthy_targets: { for: 1m }\n") => ["9:7: deploy.alarms[0]: what takes 2m can't fire in time: a deployment is over 2m after new tasks get their first request (shorten `for`, or raise `keep_old`)"];
    hooks_of_no_form: file("deploy: { hooks: { after_install: 1, before_instal: a, before_allow_traffic: 'a b', after_allow_traffic: 'arn:aws:lambda:eu-central-1:111122223333:function:a:live' } }\n") => ["5:35: deploy.hooks.after_install: want text, have the number 1 (write it in quotes: \"1\")", "5:38: deploy.hooks.before_instal: `before_instal` is not a key here (did you mean `before_install`?)", "5:78: deploy.hooks.before_allow_traffic: `a b` is not the name or the ARN of a Lambda function (1 to 64 letters, digits, `-` and `_`, or `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, without version or alias)", "5:106: deploy.hooks.after_allow_traffic: `arn:aws:lambda:eu-central-1:111122223333:function:a:live` is not the name or the ARN of a Lambda function (1 to 64 letters, digits, `-` and `_`, or `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, without version or alias)"];
    hooks_of_elsewhere: "version: 1\napp: web\naccount: '111122223333'\nregion: eu-central-1\nservice: { port: 80 }\ndeploy: { hooks: { after_install: 'arn:aws:lambda:eu-west-1:999999999999:function:a' } }\n" => ["6:35: deploy.hooks.after_install: it is in region eu-west-1, the app in eu-central-1 (name one of eu-central-1)", "6:35: deploy.hooks.after_install: it is in account 999999999999, the app in 111122223333 (name one of account 111122223333)"];
    checks_without_a_wait: file("deploy: { checks: [{ path: / }] }\n") => ["5:11: deploy.approve: `approve` is missing: checks are made while a deployment waits for it (say how long it may wait: `approve: { within: 60m }`)"];
    checks_of_no_form: file("deploy: { approve: { within: 60m }, checks: [{}, /health, { path: health, status: 500, contains: '', times: 0, within: 2h }, { path: /, state: 200 }] }\n") => ["5:46: deploy.checks[0].path: `path` is missing", "5:50: deploy.checks[1]: want a mapping of keys to values, have the text `/health`", "5:67: deploy.checks[2].path: `health` is not a path (starts with `/`, at most 1024 characters, no spaces, others than ASCII as %XX)", "5:83: deploy.checks[2].status: `500` matches no status codes (codes from 200 to 499: one (`200`), a range (`200-399`) or a list (`200,204`))", "5:98: deploy.checks[2].contains: the text is too long or empty (1 to 1024 characters)", "5:109: deploy.checks[2].times: 0 is not a number of answers (from 1 to 100)", "5:120: deploy.checks[2].within: 2h is out of range (from 1s to 3600s)", "5:137: deploy.checks[3].state: `state` is not a key here (did you mean `status`?)"];
    checks_longer_than_the_wait: file("deploy: { approve: { within: 2m }, checks: [{ path: /a }, { path: /b, within: 61s }] }\n") => ["5:36: deploy.checks: the checks may take 121s together, the deployment waits 2m for them (raise `approve.within`, or lower `within` of the checks)"];
    too_many_checks: file(&format!("deploy: {{ approve: {{ within: 60m }}, checks: [{}] }}\n", vec!["{ path: / }"; 21].join(", "))) => ["5:37: deploy.checks: 21 checks, at most 20 are allowed (let the app check itself, and check that: `{ path: /health/deep }`)"];
    failing_fast: file("deploy: { fail_fast: 0 }\n") => ["5:22: deploy.fail_fast: 0 is not a number of tasks to give up after (from 1 to 10)"];
    failing_fast_without_number: file("deploy: { fail_fast: never }\n") => ["5:22: deploy.fail_fast: want a number of tasks, or `off`, have the text `never`"];
    a_wait_before_the_shift_that_does_not_fit: file("deploy: { approve: { within: 7140m }, hooks: { after_install: a } }\n") => ["5:1: deploy: the way from the start of a deployment to the first shift of production traffic may take 5d 1h, at most 5d are allowed: new tasks 1h + hooks.after_install 1h + approve.within 4d 23h (take 1h off, for instance of `approve.within`)"];
    a_deployment_that_does_not_fit: file("deploy: { approve: { within: 2d }, strategy: { canary: { percent: 10, wait: 2d } }, keep_old: 46h }\n") => ["5:1: deploy: a deployment in the pipeline may take 5d 23h, at most 5d are allowed: new tasks 1h + approve.within 2d + strategy 2d + keep_old 1d 22h (take 23h off, for instance of `strategy`)"];
    a_strategy_without_its_parts: file("deploy: { strategy: canary }\n") => ["5:21: deploy.strategy: `canary` needs its parts (write `canary: { percent: 10, wait: 5m }`)"];
    two_strategies: file("deploy: { strategy: { canary: { percent: 10, wait: 5m }, linear: { percent: 10, every: 5m } } }\n") => ["5:11: deploy.strategy: `canary` and `linear` can't both be the strategy (keep one of them)"];
    no_strategy: file("deploy: { strategy: {} }\n") => ["5:11: deploy.strategy: want `all_at_once`, or a mapping with `canary` or `linear`, have an empty mapping"];
    a_strategy_with_wrong_parts: file("deploy: { strategy: { canary: { every: 5m } } }\n") => ["5:23: deploy.strategy.canary.percent: `percent` is missing", "5:23: deploy.strategy.canary.wait: `wait` is missing", "5:33: deploy.strategy.canary.every: `every` is not a key here (allowed here: percent, wait)"];
    spans_without_unit: file("deploy: { keep_old: 5, approve: { within: [] } }\n") => ["5:21: deploy.keep_old: want a number with its unit, such as 90s, 60m or 2h, have the number 5", "5:35: deploy.approve.within: want a time span, such as 90s, 60m or 2h, have an empty list"];
    environment_without_value: service("environment: { A: , B: [1], C: { d: 1 } }\n") => ["5:18: service.environment.A: want text, a number or a truth value, have nothing", "5:23: service.environment.B: want text, a number or a truth value, have a list", "5:31: service.environment.C: want text, a number or a truth value, have a mapping"];
    another_version: "version: 2\napp: web\nservice: { port: 80 }\n" => ["1:10: version: version 2 is not known (write `version: 1`)"];
    not_an_app_name: "version: 1\napp: My_App\nservice: { port: 80 }\n" => ["2:6: app: `My_App` is not an app name (2 to 32 characters, lower-case letters, digits and single hyphens, starting with a letter (and not with `sthree-`); `my-app` would do)"];
    not_an_account: file("account: 1111\n") => ["5:10: account: `1111` is not an account id (an account id has twelve digits; put it in quotes if it starts with 0)"];
    an_account_in_letters: file("account: \"11112222333x\"\n") => ["5:10: account: `11112222333x` is not an account id (an account id has twelve digits; put it in quotes if it starts with 0)"];
    not_a_region: file("region: Frankfurt\n") => ["5:9: region: `Frankfurt` is not a region (a region is written like `eu-central-1`)"];
    a_zone_for_a_region: file("region: eu-central-1a\n") => ["5:9: region: `eu-central-1a` is not a region (that is a zone; its region is `eu-central-1`)"];
    not_a_range: file("network: { cidr: 10.0.0.0 }\n") => ["5:18: network.cidr: `10.0.0.0` is not an address range (a single address is written `10.0.0.0/32`)"];
    not_a_range_at_all: file("network: { cidr: all }\n") => ["5:18: network.cidr: `all` is not an address range (write an IPv4 range such as 10.0.0.0/16)"];
    a_range_of_ipv6: file("network: { cidr: \"fd00::/8\" }\n") => ["5:18: network.cidr: `fd00::/8` is not an address range (only IPv4 is supported)"];
    bits_behind_the_prefix: file("network: { cidr: 10.0.0.1/16 }\n") => ["5:18: network.cidr: 10.0.0.1/16 has bits behind the /16 (the range that holds it is 10.0.0.0/16)"];
    a_vpc_too_large: file("network: { cidr: 10.0.0.0/8 }\n") => ["5:18: network.cidr: 10.0.0.0/8 is too large (from /16 (65536 addresses) to /28 (16 addresses))"];
    a_vpc_too_small: file("network: { cidr: 10.0.0.0/29 }\n") => ["5:18: network.cidr: 10.0.0.0/29 is too small (from /16 (65536 addresses) to /28 (16 addresses))"];
    a_reserved_range: file("network: { cidr: 169.254.0.0/16 }\n") => ["5:18: network.cidr: 169.254.0.0/16 lies in 169.254.0.0/16, in which AWS makes no VPC (take a private range, such as 10.0.0.0/16 or 192.168.0.0/16)"];
    one_zone: file("network: { zones: 1 }\n") => ["5:19: network.zones: want 2 to 6 availability zones, have 1 (a load balancer needs two)"];
    seven_zones: file("network: { zones: 7 }\n") => ["5:19: network.zones: want 2 to 6 availability zones, have 7 (a load balancer needs two)"];
    zones_that_do_not_fit: file("network: { cidr: 10.0.0.0/26, zones: 3 }\n") => ["5:38: network.zones: 10.0.0.0/26 cut into 8 subnets for 3 zones gives /29 (a subnet is /28 at the least: take a larger `cidr` or fewer zones)"];
    default_zones_that_do_not_fit: file("network: { cidr: 10.0.0.0/28 }\n") => ["5:18: network.cidr: 10.0.0.0/28 cut into 4 subnets for 2 zones gives /30 (a subnet is /28 at the least: take a larger `cidr` or fewer zones)"];
    one_named_zone: file("network:\n  zones:\n    - { name: eu-central-1a, public: 10.0.0.0/24, private: 10.0.1.0/24 }\n") => ["6:3: network.zones: want 2 to 6 availability zones, have 1 (a load balancer needs two)"];
    zones_that_overlap: file("network:\n  zones:\n    - { name: eu-central-1a, public: 10.0.0.0/23, private: 10.0.1.0/24 }\n    - { name: eu-central-1b, public: 10.0.2.0/24, private: 10.0.2.0/24 }\n") => ["7:60: network.zones[0].private: 10.0.1.0/24 overlaps 10.0.0.0/23 of `network.zones[0].public` in line 7 (no two subnets may share an address)", "8:60: network.zones[1].private: 10.0.2.0/24 overlaps 10.0.2.0/24 of `network.zones[1].public` in line 8 (no two subnets may share an address)"];
    subnets_outside_the_vpc: file("network:\n  zones:\n    - { name: eu-central-1a, public: 10.0.0.0/24, private: 192.168.0.0/24 }\n    - { name: eu-central-1b, public: 10.0.2.0/24, private: 10.0.0.0/15 }\n") => ["7:60: network.zones[0].private: 192.168.0.0/24 is not inside the VPC's range 10.0.0.0/16 (change it or `network.cidr`)", "8:60: network.zones[1].private: 10.0.0.0/15 is too large (from /16 (65536 addresses) to /28 (16 addresses))"];
    a_subnet_of_the_wrong_size: file("network:\n  zones:\n    - { name: eu-central-1a, public: 10.0.0.0/29, private: 10.0.1.0/24 }\n    - { name: eu-central-1b, public: 10.0.2.0/24, private: 10.0.3.7/24 }\n") => ["7:38: network.zones[0].public: 10.0.0.0/29 is too small (from /16 (65536 addresses) to /28 (16 addresses))", "8:60: network.zones[1].private: 10.0.3.7/24 has bits behind the /24 (the range that holds it is 10.0.3.0/24)"];
    zones_twice_and_astray: file("region: eu-central-1\nnetwork:\n  zones:\n    - { name: eu-central-1a, public: 10.0.0.0/24, private: 10.0.1.0/24 }\n    - { name: eu-central-1a, public: 10.0.2.0/24, private: 10.0.3.0/24 }\n    - { name: eu-west-1a, public: 10.0.4.0/24, private: 10.0.5.0/24 }\n    - { name: zone, public: 10.0.6.0/24, private: 10.0.7.0/24 }\n") => ["9:15: network.zones[1].name: line 8 names zone `eu-central-1a` already (every zone is named once)", "10:15: network.zones[2].name: zone `eu-west-1a` is not in region `eu-central-1` (a zone there is called like `eu-central-1a`)", "11:15: network.zones[3].name: `zone` is not an availability zone (a zone is its region and a letter, such as `eu-central-1a`)"];
    zones_of_two_regions: file("network:\n  zones:\n    - { name: eu-central-1a, public: 10.0.0.0/24, private: 10.0.1.0/24 }\n    - { name: eu-west-1a, public: 10.0.4.0/24, private: 10.0.5.0/24 }\n") => ["8:15: network.zones[1].name: zone `eu-west-1a` is not in region `eu-central-1` (a zone there is called like `eu-central-1a`)"];
    port_zero: "version: 1\napp: web\nservice: { port: 0 }\n" => ["3:18: service.port: 0 is not a port (from 1 to 65535)"];
    a_port_too_high: "version: 1\napp: web\nservice: { port: 65536 }\n" => ["3:18: service.port: 65536 is not a port (from 1 to 65535)"];
    a_port_far_too_high: "version: 1\napp: web\nservice: { port: 99999999999999999999 }\n" => ["3:18: service.port: 9223372036854775807 is not a port (from 1 to 65535)"];
    no_such_cpu: service("cpu: 300\n") => ["5:8: service.cpu: Fargate offers no task with cpu 300 (allowed: 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)"];
    no_such_memory: service("cpu: 1024\nmemory: 512\n") => ["6:11: service.memory: Fargate offers no task with cpu 1024 and memory 512 (with cpu 1024: 2048 to 8192 in steps of 1024; memory 512 goes with cpu 256)"];
    memory_without_cpu: service("memory: 4096\n") => ["5:11: service.memory: Fargate offers no task with cpu 256 and memory 4096 (with cpu 256: 512, 1024, 2048; memory 4096 goes with cpu 512, 1024, 2048)"];
    memory_that_nobody_offers: service("cpu: 512\nmemory: 1000\n") => ["6:11: service.memory: Fargate offers no task with cpu 512 and memory 1000 (with cpu 512: 1024, 2048, 3072, 4096)"];
    not_a_flag: service("exec: \"yes\"\n") => ["5:9: service.exec: want true or false, have the text `yes`"];
    too_many_tasks: service("desired_count: 5001\n") => ["5:18: service.desired_count: 5001 is not a number of tasks (from 0 to 5000)"];
    fewer_than_no_tasks: service("desired_count: -1\n") => ["5:18: service.desired_count: -1 is not a number of tasks (from 0 to 5000)"];
    names_of_variables: service("environment: { 1A: x, \"A B\": y, A=: z, ok.a-b: w }\n") => ["5:18: service.environment.1A: `1A` is not a name for an environment variable (letters, digits, `_`, `-` and `.`, not starting with a digit, at most 255)", "5:25: service.environment.A B: `A B` is not a name for an environment variable (letters, digits, `_`, `-` and `.`, not starting with a digit, at most 255)", "5:35: service.environment.A=: `A=` is not a name for an environment variable (letters, digits, `_`, `-` and `.`, not starting with a digit, at most 255)"];
    a_nul_in_a_variable: service("environment: { A: \"a\\0b\" }\n") => ["5:18: service.environment.A: the value holds a NUL character"];
    images_that_are_none: service("image: \"HTTPD:latest\"\n") => ["5:10: service.image: `HTTPD:latest` is not an image (write it like `httpd:2.4.58` or `REGISTRY/NAME@sha256:…`)"];
    an_image_with_a_wrong_digest: service("image: httpd@sha256:abc\n") => ["5:10: service.image: the digest is not `sha256:` and 64 hex digits in lower case (write it like `httpd:2.4.58` or `REGISTRY/NAME@sha256:…`)"];
    an_image_with_a_wrong_tag: service("image: \"httpd:\"\n") => ["5:10: service.image: the tag is not 1 to 128 letters, digits, `_`, `.` or `-` (write it like `httpd:2.4.58` or `REGISTRY/NAME@sha256:…`)"];
    an_image_too_long: service(&format!("image: {}\n", "a".repeat(256))) => ["5:10: service.image: the image's name has 256 characters, at most 255 are allowed (write it like `httpd:2.4.58` or `REGISTRY/NAME@sha256:…`)"];
    no_nat_without_an_image: file("network: { nat: none }\n") => ["3:1: service.image: `nat: none` needs `service.image`: the placeholder image is public and can't be pulled (name an image in the app's own account, `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG`)"];
    no_nat_with_a_public_image: service("image: httpd:2.4.58\n") + "network: { nat: none }\n" => ["5:10: service.image: `nat: none` needs an image in a private ECR repository: nothing else can be pulled (`ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG`, or `nat: single`)"];
    no_nat_with_an_image_elsewhere: service("image: 111122223333.dkr.ecr.us-east-1.amazonaws.com/web:1\n") + "region: eu-central-1\nnetwork: { nat: none }\n" => ["5:10: service.image: `nat: none` reaches ECR in eu-central-1 only, the image is in us-east-1 (copy the image, or take `nat: single`)"];
    health_checks_out_of_range: service("health_check: { interval: 4s, timeout: 3m, healthy: 1, unhealthy: 11, grace: 100000d }\n") => ["5:29: service.health_check.interval: 4s is out of range (from 5s to 300s)", "5:42: service.health_check.timeout: 3m is out of range (from 2s to 120s)", "5:55: service.health_check.healthy: 1 is not a number of answers (from 2 to 10)", "5:69: service.health_check.unhealthy: 11 is not a number of answers (from 2 to 10)", "5:80: service.health_check.grace: 100000d is out of range (from 0s to 2147483647s)"];
    a_timeout_as_long_as_the_interval: service("health_check: { interval: 10s, timeout: 10s }\n") => ["5:43: service.health_check.timeout: the timeout 10s is not less than the interval 10s (an answer must be in before the next check)"];
    an_interval_as_short_as_the_timeout: service("health_check: { interval: 5s }\n") => ["5:29: service.health_check.interval: the timeout 5s is not less than the interval 5s (an answer must be in before the next check)"];
    a_path_that_is_none: service("health_check: { path: health }\n") => ["5:25: service.health_check.path: `health` is not a path (starts with `/`, at most 1024 characters, no spaces, others than ASCII as %XX)"];
    a_path_with_a_space: service("health_check: { path: /a b }\n") => ["5:25: service.health_check.path: `/a b` is not a path (starts with `/`, at most 1024 characters, no spaces, others than ASCII as %XX)"];
    status_codes: service("health_check: { status: 500 }\n") => ["5:27: service.health_check.status: `500` matches no status codes (codes from 200 to 499: one (`200`), a range (`200-399`) or a list (`200,204`))"];
    a_range_of_status_codes_backwards: service("health_check: { status: 399-200 }\n") => ["5:27: service.health_check.status: `399-200` matches no status codes (codes from 200 to 499: one (`200`), a range (`200-399`) or a list (`200,204`))"];
    the_same_port_twice: file("load_balancer: { test: { port: 80 } }\n") => ["5:32: load_balancer.test.port: production and test listener are both on port 80 (give one of them another port)"];
    the_same_port_by_default: file("load_balancer: { production: { port: 8080 } }\n") => ["5:38: load_balancer.production.port: production and test listener are both on port 8080 (give one of them another port)"];
    nobody_is_allowed: file("load_balancer: { test: { allow: [] } }\n") => ["5:26: load_balancer.test.allow: nobody may reach this listener (name a range, such as 0.0.0.0/0)"];
    ranges_that_are_wrong: file("load_balancer: { production: { allow: [1.2.3.4, 10.0.0.1/8, 10.0.0.0/8, 10.0.0.0/8] } }\n") => ["5:40: load_balancer.production.allow[0]: `1.2.3.4` is not an address range (a single address is written `1.2.3.4/32`)", "5:49: load_balancer.production.allow[1]: 10.0.0.1/8 has bits behind the /8 (the range that holds it is 10.0.0.0/8)", "5:73: load_balancer.production.allow[3]: 10.0.0.0/8 is here twice (keep one of them)"];
    too_many_ranges: file(&format!("load_balancer: {{ test: {{ allow: [{}] }} }}\n", (0..31).map(|n| format!("10.{n}.0.0/16")).collect::<Vec<_>>().join(", "))) => ["5:26: load_balancer.test.allow: 31 ranges, at most 30 are allowed (AWS allows 60 rules in a security group)"];
    repository_and_branch: file("source: { codecommit: { repository: a/b.git, branch: a..b } }\n") => ["5:37: source.codecommit.repository: `a/b.git` is not allowed (1 to 100 letters, digits, `.`, `_` and `-`, not ending in `.git`)", "5:54: source.codecommit.branch: `a..b` is not allowed (a branch as git names it, such as `main` or `release/1.x`)"];
    paths_that_leave_the_repository: file("build: { dockerfile: ../Dockerfile, context: /srv }\n") => ["5:22: build.dockerfile: `../Dockerfile` is not allowed (a path relative to the repository's root, with `/`, without `..`, not starting with `-`)", "5:46: build.context: `/srv` is not allowed (a path relative to the repository's root, with `/`, without `..`, not starting with `-`)"];
    paths_that_look_like_options: file("build: { dockerfile: docker/, context: --privileged }\n") => ["5:22: build.dockerfile: `docker/` is not allowed (a path relative to the repository's root, with `/`, without `..`, not starting with `-`)", "5:40: build.context: `--privileged` is not allowed (a path relative to the repository's root, with `/`, without `..`, not starting with `-`)"];
    no_nat_and_no_service: "version: 1\napp: web\nnetwork: { nat: none }\n" => ["1:1: service: `service` is missing"];
    approval_without_a_time: file("deploy: { approve: {} }\n") => ["5:11: deploy.approve.within: `within` is missing"];
    a_subnet_that_holds_another: file("network:\n  zones:\n    - { name: eu-central-1a, public: 10.0.1.0/24, private: 10.0.0.0/22 }\n    - { name: eu-central-1b, public: 10.0.8.0/24, private: 10.0.9.0/24 }\n") => ["7:60: network.zones[0].private: 10.0.0.0/22 overlaps 10.0.1.0/24 of `network.zones[0].public` in line 7 (no two subnets may share an address)"];
    a_multicast_range: file("network: { cidr: 230.0.0.0/16 }\n") => ["5:18: network.cidr: 230.0.0.0/16 lies in 224.0.0.0/3, in which AWS makes no VPC (take a private range, such as 10.0.0.0/16 or 192.168.0.0/16)"];
    approval_out_of_range: file("deploy: { approve: { within: 7201m } }\n") => ["5:30: deploy.approve.within: 7201m is out of range (from 1m to 7200m)"];
    approval_in_seconds: file("deploy: { approve: { within: 90s }, keep_old: 2801m }\n") => ["5:30: deploy.approve.within: 90s is not a whole number of minutes (CodeDeploy counts in minutes: write `2m`)", "5:47: deploy.keep_old: 2801m is out of range (from 0m to 2800m)"];
    a_span_that_is_none: file("deploy: { keep_old: soon }\n") => ["5:21: deploy.keep_old: `soon` is not a time span: write a whole number and a unit, such as 90s, 60m, 2h or 1d"];
    a_canary_out_of_range: file("deploy: { strategy: { canary: { percent: 100, wait: 0m } } }\n") => ["5:42: deploy.strategy.canary.percent: 100 is not a part in percent (from 1 to 99)", "5:53: deploy.strategy.canary.wait: 0m is out of range (from 1m to 2880m)"];
    a_line_that_takes_too_long: file("deploy: { strategy: { linear: { percent: 1, every: 30m } } }\n") => ["5:52: deploy.strategy.linear.every: 100 shifts of 1 percent every 30m take 2970 minutes (at most 2880 minutes from the first shift to the last)"];
    a_cause_twice: file("deploy: { rollback_on: [stop, failure, stop] }\n") => ["5:40: deploy.rollback_on[2]: the same cause is here twice (keep one of them)"];
    tags_that_are_taken: file("tags: { Name: a, aws:x: b, ECSPIPE:app: c, \"\": d }\n") => ["5:9: tags.Name: the key `Name` is taken (`aws:`, `ecspipe:` and `Name` are not for users)", "5:18: tags.aws:x: the key `aws:x` is taken (`aws:`, `ecspipe:` and `Name` are not for users)", "5:28: tags.ECSPIPE:app: the key `ECSPIPE:app` is taken (`aws:`, `ecspipe:` and `Name` are not for users)", "5:44: tags.: the key `` is too long or empty (1 to 127 characters)"];
    tags_with_wrong_letters: file("tags: { a*b: c, d: \"e#\", f: \"\" }\n") => ["5:9: tags.a*b: the key `a*b` holds a character that tags can't have (letters, digits, spaces and _ . : / = + - @)", "5:17: tags.d: the value of `d` holds a character that tags can't have (letters, digits, spaces and _ . : / = + - @)", "5:26: tags.f: the value of `f` is too long or empty (1 to 255 characters)"];
    too_many_tags: file(&format!("tags:\n{}", (0..41).map(|n| format!("  t{n}: x\n")).collect::<String>())) => ["5:1: tags: 41 tags, at most 40 are allowed (AWS allows 50 on a resource, and ecspipe sets some of its own)"];
}

#[test]
fn every_problem_of_a_file_at_once() {
    let text = "\
versoin: 1
app: Web
region: eu-central-1
network:
  cidr: 10.0.0.0/30
  zones:
    - { name: eu-central-1a, public: 10.1.0.0/24, privat: 10.1.1.0/24 }
    - { name: eu-west-1b, public: 10.1.0.0/25, private: ten }
service:
  port: \"80\"
  cpu: 512
  memory: 512
  environment: { LOG: { level: info } }
load_balancer:
  production: { port: 8080 }
deploy:
  strategy: { canary: { percent: 0, wait: 30s } }
  keep_old: 5
tags: { Name: web }
";
    check(
        text,
        &[
            "1:1: version: `version` is missing",
            "1:1: versoin: `versoin` is not a key here (did you mean `version`?)",
            "2:6: app: `Web` is not an app name (2 to 32 characters, lower-case letters, digits and single hyphens, starting with a letter (and not with `sthree-`); `web` would do)",
            "5:9: network.cidr: 10.0.0.0/30 is too small (from /16 (65536 addresses) to /28 (16 addresses))",
            "7:7: network.zones[0].private: `private` is missing",
            "7:51: network.zones[0].privat: `privat` is not a key here (did you mean `private`?)",
            "8:15: network.zones[1].name: zone `eu-west-1b` is not in region `eu-central-1` (a zone there is called like `eu-central-1a`)",
            "8:35: network.zones[1].public: 10.1.0.0/25 overlaps 10.1.0.0/24 of `network.zones[0].public` in line 7 (no two subnets may share an address)",
            "8:57: network.zones[1].private: `ten` is not an address range (write an IPv4 range such as 10.0.0.0/16)",
            "10:9: service.port: want a whole number, have the text `80`",
            "12:11: service.memory: Fargate offers no task with cpu 512 and memory 512 (with cpu 512: 1024, 2048, 3072, 4096; memory 512 goes with cpu 256)",
            "13:18: service.environment.LOG: want text, a number or a truth value, have a mapping",
            "15:23: load_balancer.production.port: production and test listener are both on port 8080 (give one of them another port)",
            "17:34: deploy.strategy.canary.percent: 0 is not a part in percent (from 1 to 99)",
            "17:43: deploy.strategy.canary.wait: 30s is not a whole number of minutes (CodeDeploy counts in minutes: write `1m`)",
            "18:13: deploy.keep_old: want a number with its unit, such as 90s, 60m or 2h, have the number 5",
            "19:9: tags.Name: the key `Name` is taken (`aws:`, `ecspipe:` and `Name` are not for users)",
        ],
    );
    let kinds: Vec<ProblemKind> = problems(text).iter().map(|problem| problem.kind).collect();
    assert!(
        kinds.contains(&ProblemKind::Structure) && kinds.contains(&ProblemKind::Rule),
        "{kinds:?}"
    );
}

#[test]
fn a_problem_shows_its_piece_of_the_file() {
    let text = "version: 1 # ä\napp: 'Übung'\nservice: { port: 80, cpu: 300 }\nnetwork: { zonen: 2 }\nload_balancer: []\n";
    let pieces: Vec<&str> = problems(text)
        .iter()
        .map(|problem| &text[problem.span.clone()])
        .collect();
    assert_eq!(pieces, ["'Übung'", "300", "zonen", "load_balancer"]);
}

#[test]
fn columns_count_characters() {
    let found = problems("version: 1\napp: web\nservice: { image: 'ääää', port: x }\n");
    let places: Vec<(usize, usize)> = found
        .iter()
        .map(|problem| (problem.line, problem.column))
        .collect();
    assert_eq!(places, [(3, 19), (3, 33)]);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_no_problem() {
    check(&format!("\u{feff}{}", file("").replace('\n', "\r\n")), &[]);
}

/// The nine lines that grow to a thousand million values where aliases are followed.
#[test]
fn a_yaml_bomb_is_refused() {
    let mut text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i"]
        .iter()
        .zip(["a", "b", "c", "d", "e", "f", "g", "h"])
    {
        text.push_str(&format!(
            "{name}: &{name} [{}]\n",
            [format!("*{of}").as_str(); 10].join(",")
        ));
    }
    let found = problems(&text);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.starts_with("YAML anchors"), "{}", found[0]);
}

#[test]
fn a_huge_file_is_refused_unread() {
    let found = problems(&file(&format!("# {}\n", "x".repeat(256 * 1024))));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].message.contains("at most 262144 are read"),
        "{}",
        found[0]
    );
}

#[test]
fn a_file_of_too_many_values_is_refused() {
    let found = problems(&file(&format!("tags: [{}]\n", "1,".repeat(30_000))));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "the file holds more than 20000 values");
}

#[test]
fn thousands_of_unknown_keys_are_all_reported() {
    let keys: String = (0..5000).map(|n| format!("k{n}: 1\n")).collect();
    assert_eq!(problems(&file(&keys)).len(), 5000);
}

#[test]
fn text_of_any_kind_does_not_panic() {
    for text in [
        "\0",
        "\u{feff}",
        "%",
        "?",
        "- - - -",
        "{",
        "}",
        "!!binary x",
        "a: !!binary '%'",
        "&",
        "*",
        "--- --- ---",
        "\t",
        "'",
        "[]: {}",
        "version: .nan",
        "version: 1e999",
    ] {
        assert!(!problems(text).is_empty(), "{text:?}");
    }
}
