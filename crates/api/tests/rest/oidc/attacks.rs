//! What attackers try with a sign-in: forged tokens, what is another's or was used before, and providers that are broken.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    BEGIN, Browser, config, fleet, house_with, is_written,
    provider::{Answer, Provider, SECRET, Sign, Ticket},
    refused, sign_in, signs_in,
};

#[tokio::test]
async fn a_token_that_says_something_else_than_it_must_is_not_believed() {
    let (provider, house) = fleet(json!({})).await;
    // The server's clock stands still; the provider's goes on.
    let now = house.now_s();
    let usual = provider.script().claims.clone();
    let mut believed = Vec::new();
    for wrong in [
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "aud": "another" }),
        json!({ "aud": ["palisade", "another"] }),
        json!({ "aud": [] }),
        json!({ "iss": "https://evil.test" }),
        json!({ "iss": format!("{}/", provider.issuer) }),
        json!({ "azp": "another" }),
        json!({ "exp": now - 1 }),
        json!({ "iat": now - 100_000 }),
        json!({ "iat": now + 100_000, "exp": now + 200_000 }),
        json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }),
        json!({ "sub": "" }),
        json!({ "sub": "x".repeat(256) }),
        json!({ "sub": null }),
    ] {
        let mut claims = usual.clone();
        for (name, value) in wrong.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        provider.script().claims = claims;
        let (page, browser) = sign_in(&provider, &house).await;
        let why = page.body["detail"].as_str().unwrap_or_default();
        if browser.session().is_some() || !why.contains("not to be believed") {
            believed.push(wrong.to_string());
        }
    }
    assert!(believed.is_empty(), "{believed:#?}");
    let made = house.people.account(&super::name("olga")).await;
    made.expect_err("was made");
    assert!(is_written(&house, &["a provider's answer that is not to be believed"]).await);
    provider.script().claims = usual;
    signs_in(&provider, &house).await;
}

#[tokio::test]
async fn a_token_that_is_not_signed_with_the_providers_own_key_is_not_believed() {
    let (provider, house) = fleet(json!({})).await;
    let public = {
        let script = provider.script();
        script.jwk("one").to_string().into_bytes()
    };
    // Without what would give a forged one away besides its signature.
    provider.script().claims["at_hash"] = Value::Null;
    let mut believed = Vec::new();
    for (what, forged) in [
        ("no signature", Sign::Nothing),
        ("another key", Sign::Other),
        ("the public key as a secret", Sign::Hmac(public)),
        (
            "the client's secret",
            Sign::Hmac(SECRET.as_bytes().to_vec()),
        ),
        ("an empty secret", Sign::Hmac(Vec::new())),
    ] {
        provider.script().sign = forged;
        let (page, browser) = sign_in(&provider, &house).await;
        if browser.session().is_some() || page.status != StatusCode::UNAUTHORIZED {
            believed.push(what);
        }
    }
    assert!(believed.is_empty(), "{believed:#?}");
    provider.script().sign = Sign::Key;
    signs_in(&provider, &house).await;
}

#[tokio::test]
async fn keys_are_read_anew_for_one_that_is_not_known_and_not_more_often_than_each_minute() {
    let (provider, house) = fleet(json!({})).await;
    signs_in(&provider, &house).await;
    assert_eq!(provider.script().keys_read, 1);
    // A provider that signs with what it does not publish makes nobody ask for ever.
    provider.script().kid = "two".to_owned();
    for _ in 0..3 {
        refused(&provider, &house, 401).await;
    }
    assert_eq!(provider.script().keys_read, 1, "within the first minute");
    house.clock.advance_millis(61_000);
    for _ in 0..3 {
        refused(&provider, &house, 401).await;
    }
    assert_eq!(provider.script().keys_read, 2);
    assert_eq!(provider.script().discovered, 1);
}

#[tokio::test]
async fn a_new_key_is_found_without_a_restart() {
    let (provider, house) = fleet(json!({})).await;
    signs_in(&provider, &house).await;
    provider.script().kid = "two".to_owned();
    provider.script().published = vec!["two".to_owned()];
    house.clock.advance_millis(61_000);
    signs_in(&provider, &house).await;
    assert_eq!(provider.script().keys_read, 2);
}

#[tokio::test]
async fn a_state_counts_once_and_in_the_browser_that_began_alone() {
    let (provider, house) = fleet(json!({})).await;
    let mut browser = Browser::default();
    let url = browser.begin(&house).await;
    let bound = browser.cookies.clone();
    let ticket = provider.lets_in(&url);
    assert_eq!(
        browser.back(&house, &ticket).await.status,
        StatusCode::SEE_OTHER
    );
    // Replayed, with all that the browser had.
    let mut thief = Browser {
        cookies: bound,
        ..Browser::default()
    };
    let again = Ticket {
        code: provider.lets_in(&url).code,
        state: ticket.state,
    };
    assert_eq!(
        thief.back(&house, &again).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(thief.session(), None);

    // Log-in by force: an attacker's own answer is given to another browser, which has a sign-in of its own or none.
    let mut attacker = Browser::default();
    let url = attacker.begin(&house).await;
    let ticket = provider.lets_in(&url);
    let mut victim = Browser::default();
    assert_eq!(
        victim.back(&house, &ticket).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(victim.session(), None);
    let url = attacker.begin(&house).await;
    let ticket = provider.lets_in(&url);
    victim.begin(&house).await;
    assert_eq!(
        victim.back(&house, &ticket).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(victim.session(), None);
    assert!(
        is_written(
            &house,
            &["a sign-in with a provider that was not begun there"]
        )
        .await
    );

    // And what is no state at all.
    for path in [
        "",
        "?code=x",
        "?state=x",
        "?state=&code=x",
        "?code=x&state=pos_AAAA",
    ] {
        let path = format!("/api/v1/session/oidc/corp/callback{path}");
        let page = Browser::default().get(&house, &path).await;
        assert!(
            [400, 401].contains(&page.status.as_u16()),
            "{path}: {}",
            page.status
        );
    }
}

#[tokio::test]
async fn a_sign_in_that_takes_longer_than_ten_minutes_has_ended() {
    let (provider, house) = fleet(json!({})).await;
    let mut browser = Browser::default();
    let url = browser.begin(&house).await;
    let ticket = provider.lets_in(&url);
    house.clock.advance_millis(600_000);
    assert_eq!(
        browser.back(&house, &ticket).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_sign_in_outlives_a_restart_of_the_server() {
    let (provider, house) = fleet(json!({})).await;
    let mut browser = Browser::default();
    let url = browser.begin(&house).await;
    let ticket = provider.lets_in(&url);
    // Another process of the same data: nothing of the first one's memory.
    let ground = palisade_people::PeopleGround {
        store: house.store.clone(),
        keys: std::sync::Arc::new(
            palisade_keys::Keystore::open(
                &house.directory.path().join("keys.json"),
                &palisade_keys::KeySource::File(house.directory.path().join("kek")),
            )
            .expect("opens"),
        ),
        clock: std::sync::Arc::new(house.clock.clone()),
    };
    let configured = config(&provider, house.directory.path(), json!({}));
    let accounts = palisade_people::AccountsConfig {
        origins: vec!["https://fleet.test:8443".to_owned()],
        oidc: serde_json::from_value(json!([configured])).expect("a provider"),
        ..palisade_people::AccountsConfig::default()
    };
    let people = palisade_people::People::open(ground, &accounts, house.directory.path());
    let people = people.expect("opens");
    people.reached_at(8_443).expect("is valid");
    let returned = palisade_oidc::Returned {
        code: Some(ticket.code),
        ..palisade_oidc::Returned::default()
    };
    let bound = browser
        .cookies
        .get("__Host-palisade-sign-in")
        .map(String::as_str);
    let ended = people
        .finish_oidc("corp", (&ticket.state, &returned), bound, None)
        .await;
    // That process knows no roles, since no door told it the actions: it believed the token and went on to them.
    match ended {
        Err(palisade_people::OidcError::Refused { why, .. }) => {
            assert_eq!(why, palisade_people::OidcRefusal::NoRole);
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("roles came from nowhere"),
    }
}

#[tokio::test]
async fn what_one_provider_sends_is_no_other_ones() {
    let (honest, evil) = (Provider::start().await, Provider::start().await);
    let house = house_with(|directory| {
        vec![
            config(&honest, directory, json!({})),
            config(
                &evil,
                directory,
                json!({ "name": "evil", "roles": { "x": ["auditor"] } }),
            ),
        ]
    })
    .await;
    honest.script().claims = json!({ "preferred_username": "olga", "groups": ["ops"] });
    evil.script().claims = json!({ "preferred_username": "olga", "groups": ["x", "ops"] });
    signs_in(&honest, &house).await;

    // A sign-in with the evil one whose answer comes as if from the honest one: nobody is brought the code.
    let mut browser = Browser::default();
    let page = browser.get(&house, "/api/v1/session/oidc/evil/begin").await;
    let ticket = evil.lets_in(&page.location);
    let page = browser.back(&house, &ticket).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!((evil.script().asked, honest.script().asked), (0, 1));

    // What says that it comes from another provider (RFC 9207) is not exchanged.
    let url = browser.begin(&house).await;
    let ticket = honest.lets_in(&url);
    let path = |issuer: &str| {
        let Ticket { code, state } = &ticket;
        format!("/api/v1/session/oidc/corp/callback?code={code}&state={state}&iss={issuer}")
    };
    let page = browser.get(&house, &path(&evil.issuer)).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(honest.script().asked, 1);

    // The same subject of another issuer is somebody else; the name is taken.
    let page = browser.get(&house, "/api/v1/session/oidc/evil/begin").await;
    let Ticket { code, state } = evil.lets_in(&page.location);
    let path = format!("/api/v1/session/oidc/evil/callback?code={code}&state={state}");
    let page = browser.get(&house, &path).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    assert_eq!(browser.session(), None);
}

#[tokio::test]
async fn a_provider_that_always_says_who_it_is_must() {
    let provider = Provider::start().await;
    provider.script().claims = json!({ "preferred_username": "olga", "groups": ["ops"] });
    provider.script().says_issuer = true;
    let house = house_with(|directory| vec![config(&provider, directory, json!({}))]).await;
    refused(&provider, &house, 401).await;
    let mut browser = Browser::default();
    let url = browser.begin(&house).await;
    let Ticket { code, state } = provider.lets_in(&url);
    let issuer = &provider.issuer;
    let path = format!("/api/v1/session/oidc/corp/callback?code={code}&state={state}&iss={issuer}");
    assert_eq!(
        browser.get(&house, &path).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn a_code_that_was_stolen_is_worth_nothing_in_another_sign_in() {
    let (provider, house) = fleet(json!({})).await;
    let stolen = provider.lets_in(&Browser::default().begin(&house).await);
    let mut thief = Browser::default();
    let own = provider.lets_in(&thief.begin(&house).await);
    let ticket = Ticket {
        code: stolen.code,
        state: own.state,
    };
    let page = thief.back(&house, &ticket).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!((thief.session(), provider.script().exchanged), (None, 0));
}

#[tokio::test]
async fn nobody_is_sent_to_another_server_after_a_sign_in() {
    let (_provider, house) = fleet(json!({})).await;
    for bad in [
        "https://evil.test",
        "//evil.test",
        "/%5Cevil.test",
        "%5C%5Cevil.test",
        "/%09/evil.test",
        "/%0A/evil.test",
        "javascript:alert(1)",
        "evil.test",
        "",
        "/%0D%0ASet-Cookie:%20a=b",
    ] {
        let page = Browser::default()
            .get(&house, &format!("{BEGIN}?next={bad}"))
            .await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(page.location, "", "{bad}");
    }
    let page = Browser::default()
        .get(&house, &format!("{BEGIN}?next=/&next=//evil.test"))
        .await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_provider_that_answers_too_much_lets_nobody_in_and_is_not_asked_again_at_once() {
    let (provider, house) = fleet(json!({})).await;
    provider.script().answers_discovery = Answer::Huge;
    house.anonymous(Method::GET, BEGIN).problem(503).await;
    // It is not asked again at once.
    house.anonymous(Method::GET, BEGIN).problem(503).await;
    assert_eq!(provider.script().discovered, 1);
    provider.script().answers_discovery = Answer::Usual;
    house.clock.advance_millis(5_000);
    provider.script().answer = Answer::Huge;
    refused(&provider, &house, 503).await;
    provider.script().answer = Answer::Usual;
    signs_in(&provider, &house).await;
}

#[tokio::test]
async fn a_provider_that_sends_us_elsewhere_is_not_followed() {
    let (provider, house) = fleet(json!({})).await;
    provider.script().answer = Answer::Elsewhere;
    let (page, browser) = sign_in(&provider, &house).await;
    assert_eq!(provider.script().misled, 0, "a redirect was followed");
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{}", page.body);
    assert_eq!(browser.session(), None);
}

#[tokio::test]
async fn a_provider_that_never_answers_is_waited_for_a_while_and_holds_nobody_else_up() {
    let (provider, house) = fleet(json!({})).await;
    provider.script().answer = Answer::Never;
    let (waited, listed) = tokio::join!(sign_in(&provider, &house), async {
        house
            .anonymous(Method::GET, "/api/v1/session/oidc")
            .expect(200)
            .await
    });
    assert_eq!(listed["items"][0]["name"], "corp");
    let (page, browser) = waited;
    assert_eq!(
        page.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        page.body
    );
    assert_eq!(browser.session(), None);
}

#[tokio::test]
async fn an_address_that_tries_too_often_waits() {
    let (_provider, house) = fleet(json!({})).await;
    let mut last = Value::Null;
    for _ in 0..22 {
        let path = "/api/v1/session/oidc/corp/callback?state=pos_guess&code=x";
        let page = Browser::default().get(&house, path).await;
        last = page.status.as_u16().into();
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn what_waits_for_browsers_at_providers_is_bounded() {
    let (_provider, house) = fleet(json!({})).await;
    for _ in 0..120 {
        house.anonymous(Method::GET, BEGIN).answer().await;
    }
    house.anonymous(Method::GET, BEGIN).problem(429).await;
    let waiting = house.store.ceremonies().waiting("oidc").await;
    assert_eq!(waiting.expect("counts"), 32, "of one address");
}
