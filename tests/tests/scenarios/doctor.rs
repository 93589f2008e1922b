//! `doctor`: what would stand in the way, said before anything is made. Whole screens, since they are read by people.

use ecspipe_sandbox::faults::{Rule, Strike};
use ecspipe_sandbox::services::quotas;
use ecspipe_sandbox::wire::Fault;
use snapbox::{assert_data_eq, str};

use super::stage::{AUTOMATIC, REGION, Ran, Stage, TUTORIAL};

fn refuse(operation: &str, fault: Fault) -> Rule {
    Rule {
        service: None,
        operation: Some(operation.to_owned()),
        skip: 0,
        times: u64::MAX,
        strike: Strike::Refuse(fault),
    }
}

fn denied(action: &str) -> Fault {
    let message =
        format!("User: arn:aws:iam::111122223333:user/you is not authorized to perform: {action}");
    Fault::new("AccessDenied", message).status(403)
}

/// Every line of a screen fits.
#[track_caller]
fn fits(ran: &Ran) {
    for line in ran.out.lines() {
        let long = line.chars().count() > 80;
        assert!(!long || line.contains("arn:"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_stands_in_the_way() {
    let stage = Stage::new(TUTORIAL);
    let before = stage.things();
    let ran = stage.run("doctor").await.exits(0);
    fits(&ran);
    assert_data_eq!(
        ran.out,
        str![[r#"
ecs-deployment-pipeline in eu-central-1

OK       spec               ecspipe.yaml holds no mistake
OK       credentials        arn:aws:iam::111122223333:user/sandbox in account
                            111122223333
OK       clock              agrees with AWS's
OK       region             eu-central-1 is open to the account
OK       permissions        all 194 that plan, up, deploy, operate need
OK       service roles      AWSServiceRoleForECS and
                            AWSServiceRoleForElasticLoadBalancing: missing yet;
                            AWS makes them with their first use, and the caller
                            may let it
SKIPPED  image              httpd:2.4.58 is Docker Hub's, which limits anonymous
                            pulls by address; its architecture can't be seen
OK       plan               41 to create, 0 to change, 0 to delete
OK       VPCs               1 more, 0 of 5 taken
OK       internet gateways  1 more, 0 of 5 taken
OK       elastic IPs        2 more, 0 of 5 taken
OK       NAT gateways       1 more in eu-central-1b, 0 of 5 taken
OK       load balancers     1 more, 0 of 50 taken
OK       target groups      2 more, 0 of 3000 taken
OK       Fargate vCPUs      2 more, 0 of 4000 taken

14 OK, 0 NOT OK, 1 SKIPPED

"#]]
    );
    assert_eq!(ran.err, "");
    assert_eq!(stage.things(), before);
    stage.run("up --yes").await.exits(0);
    stage.run("doctor").await.exits(0);
}

#[tokio::test(start_paused = true)]
async fn quotas_that_the_plan_would_break() {
    let stage = Stage::new(TUTORIAL);
    {
        let mut world = stage.sandbox.world();
        let dials = &mut world.at(REGION).quotas;
        dials.set(&quotas::ADDRESSES, 1);
        dials.set(&quotas::VPCS, 0);
        dials.set(&quotas::NAT_GATEWAYS, 0);
        dials.set(&quotas::BALANCERS, 0);
        dials.set(&quotas::TARGET_GROUPS, 1);
        dials.set(&quotas::GATEWAYS, 0);
        dials.set(&quotas::FARGATE, 1);
    }
    let ran = stage.run("doctor").await.exits(4);
    fits(&ran);
    assert_data_eq!(
        ran.out,
        str![[r#"
ecs-deployment-pipeline in eu-central-1

OK       spec               ecspipe.yaml holds no mistake
OK       credentials        arn:aws:iam::111122223333:user/sandbox in account
                            111122223333
OK       clock              agrees with AWS's
OK       region             eu-central-1 is open to the account
OK       permissions        all 194 that plan, up, deploy, operate need
OK       service roles      AWSServiceRoleForECS and
                            AWSServiceRoleForElasticLoadBalancing: missing yet;
                            AWS makes them with their first use, and the caller
                            may let it
SKIPPED  image              httpd:2.4.58 is Docker Hub's, which limits anonymous
                            pulls by address; its architecture can't be seen
OK       plan               41 to create, 0 to change, 0 to delete
NOT OK   VPCs               1 more, 0 of 0 taken
                            next: raise the quota L-F678F1CE of `vpc` in Service
                                  Quotas, or make room
NOT OK   internet gateways  1 more, 0 of 0 taken
                            next: raise the quota L-A4707A72 of `vpc` in Service
                                  Quotas, or make room
NOT OK   elastic IPs        2 more, 0 of 1 taken
                            next: raise the quota L-0263D0A3 of `ec2` in Service
                                  Quotas, or make room
NOT OK   NAT gateways       1 more in eu-central-1a, 0 of 0 taken
                            next: raise the quota L-FE5A380F of `vpc` in Service
                                  Quotas, or make room
NOT OK   load balancers     1 more, 0 of 0 taken
                            next: raise the quota L-53DA6B97 of
                                  `elasticloadbalancing` in Service Quotas, or
                                  make room
NOT OK   target groups      2 more, 0 of 1 taken
                            next: raise the quota L-B22855CB of
                                  `elasticloadbalancing` in Service Quotas, or
                                  make room
NOT OK   Fargate vCPUs      2 more, 0 of 1 taken
                            next: raise the quota L-3032A538 of `fargate` in
                                  Service Quotas, or make room

7 OK, 7 NOT OK, 1 SKIPPED

"#]]
    );
    // And so it comes.
    let failed = stage.run("up --yes").await.exits(5);
    assert!(failed.err.contains("VpcLimitExceeded"), "{}", failed.err);
}

#[tokio::test(start_paused = true)]
async fn no_way_to_the_account() {
    let stage = Stage::new(TUTORIAL);
    let expired = Fault::new(
        "ExpiredToken",
        "The security token included in the request is expired",
    );
    stage
        .sandbox
        .faults()
        .add(refuse("GetCallerIdentity", expired.status(403)));
    let ran = stage.run("doctor").await.exits(7);
    assert_data_eq!(
        ran.out,
        str![[r#"
ecs-deployment-pipeline in eu-central-1

OK       spec         ecspipe.yaml holds no mistake
NOT OK   credentials  sts GetCallerIdentity: The security token included in the
                      request is expired (ExpiredToken)
                      next: the login has expired: log in again, for instance
                            with `aws sso login` or `aws login`
SKIPPED  clock        needs credentials
SKIPPED  region       needs credentials
SKIPPED  account      permissions, image, plan and quotas are looked at once the
                      rest is in order

1 OK, 1 NOT OK, 3 SKIPPED

"#]]
    );
    let other = Stage::new(&format!("{AUTOMATIC}account: '444455556666'\n"));
    let ran = other.run("doctor").await.exits(7);
    assert_data_eq!(
        ran.out,
        str![[r#"
web in eu-central-1

OK       spec         ecspipe.yaml holds no mistake
NOT OK   credentials  arn:aws:iam::111122223333:user/sandbox is of account
                      111122223333, the spec is for account 444455556666
                      next: choose the right login with `--profile`, or correct
                            `account:` in the spec
OK       clock        agrees with AWS's
OK       region       eu-central-1 is open to the account
SKIPPED  account      permissions, image, plan and quotas are looked at once the
                      rest is in order

3 OK, 1 NOT OK, 1 SKIPPED

"#]]
    );
    assert!(
        !other
            .sandbox
            .counts()
            .keys()
            .any(|(service, _)| service == "iam")
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_and_an_image_that_are_not_as_hoped() {
    let spec = AUTOMATIC.replace(
        "httpd:2.4.58",
        "111122223333.dkr.ecr.eu-central-1.amazonaws.com/base:1.2",
    );
    let one = Stage::new(&format!(
        "{spec}source: {{ codecommit: {{ repository: shared }} }}\n"
    ));
    one.run("up --yes").await.exits(0);
    let two = Stage::of(
        &format!("{spec}source: {{ codecommit: {{ repository: shared }} }}\n")
            .replace("app: web", "app: two"),
        one.sandbox.clone(),
    );
    let ran = two.run("doctor").await.exits(4);
    fits(&ran);
    assert_data_eq!(
        ran.out,
        str![[r#"
two in eu-central-1

OK       spec           ecspipe.yaml holds no mistake
OK       credentials    arn:aws:iam::111122223333:user/sandbox in account
                        111122223333
OK       clock          agrees with AWS's
OK       region         eu-central-1 is open to the account
OK       permissions    all 195 that plan, up, deploy, operate need
OK       service roles  AWSServiceRoleForECS and
                        AWSServiceRoleForElasticLoadBalancing: missing yet; AWS
                        makes them with their first use, and the caller may let
                        it
NOT OK   image          there is no repository base in ECR
                        next: make it and push the image, or name another in
                              `service.image`
NOT OK   plan           `up` would refuse: 1 thing can't be done
                        source-repository/main: the name of this CodeCommit
                        repository is taken: shared exists and doesn't carry the
                        tags of this app
                          next: name another repository in
                        `source.codecommit.repository`, or delete or rename the
                        other one if nobody needs it
                        next: `ecspipe plan` shows the whole of it
OK       Fargate vCPUs  0.25 more, 0.25 of 4000 taken

7 OK, 2 NOT OK, 0 SKIPPED

"#]]
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_skipped() {
    let stage = Stage::new(TUTORIAL);
    for (operation, action) in [
        ("SimulatePrincipalPolicy", "iam:SimulatePrincipalPolicy"),
        ("GetRole", "iam:GetRole"),
        ("GetServiceQuota", "servicequotas:GetServiceQuota"),
        ("DescribeRegions", "ec2:DescribeRegions"),
    ] {
        stage
            .sandbox
            .faults()
            .add(refuse(operation, denied(action)));
    }
    let ran = stage.run("doctor up").await.exits(0);
    fits(&ran);
    assert_data_eq!(
        ran.out,
        str![[r#"
ecs-deployment-pipeline in eu-central-1

OK       spec               ecspipe.yaml holds no mistake
OK       credentials        arn:aws:iam::111122223333:user/sandbox in account
                            111122223333
OK       clock              agrees with AWS's
SKIPPED  region             ec2 DescribeRegions: User:
                            arn:aws:iam::111122223333:user/you is not authorized
                            to perform: ec2:DescribeRegions (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints
SKIPPED  permissions        can't be asked: iam SimulatePrincipalPolicy: User:
                            arn:aws:iam::111122223333:user/you is not authorized
                            to perform: iam:SimulatePrincipalPolicy
                            (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints, or
                                  compare with `ecspipe policy up`
SKIPPED  service roles      iam GetRole: User: arn:aws:iam::111122223333:user/
                            you is not authorized to perform: iam:GetRole
                            (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints
SKIPPED  image              httpd:2.4.58 is Docker Hub's, which limits anonymous
                            pulls by address; its architecture can't be seen
OK       plan               41 to create, 0 to change, 0 to delete
SKIPPED  VPCs               servicequotas GetServiceQuota: User:
                            arn:aws:iam::111122223333:user/you is not authorized
                            to perform: servicequotas:GetServiceQuota
                            (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints
SKIPPED  internet gateways  servicequotas GetServiceQuota: User:
                            arn:aws:iam::111122223333:user/you is not authorized
                            to perform: servicequotas:GetServiceQuota
                            (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints
SKIPPED  elastic IPs        servicequotas GetServiceQuota: User:
                            arn:aws:iam::111122223333:user/you is not authorized
                            to perform: servicequotas:GetServiceQuota
                            (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints
SKIPPED  NAT gateways       servicequotas GetServiceQuota: User:
                            arn:aws:iam::111122223333:user/you is not authorized
                            to perform: servicequotas:GetServiceQuota
                            (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints
SKIPPED  load balancers     servicequotas GetServiceQuota: User:
                            arn:aws:iam::111122223333:user/you is not authorized
                            to perform: servicequotas:GetServiceQuota
                            (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints
SKIPPED  target groups      servicequotas GetServiceQuota: User:
                            arn:aws:iam::111122223333:user/you is not authorized
                            to perform: servicequotas:GetServiceQuota
                            (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints
SKIPPED  Fargate vCPUs      servicequotas GetServiceQuota: User:
                            arn:aws:iam::111122223333:user/you is not authorized
                            to perform: servicequotas:GetServiceQuota
                            (AccessDenied)
                            next: allow what `ecspipe policy doctor` prints

4 OK, 0 NOT OK, 11 SKIPPED

"#]]
    );
    let json = stage.run("doctor up --format json").await.exits(0).json();
    let states: Vec<&str> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["state"].as_str().unwrap())
        .collect();
    assert!(
        states.contains(&"skipped") && states.contains(&"ok"),
        "{json:#}"
    );
}
