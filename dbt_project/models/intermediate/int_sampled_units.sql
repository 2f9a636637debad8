{{ recomputed_by_decided_day() }}

with

draws as (

    select * from {{ ref('stg_sampled_decisions') }}

    where {{ in_decided_days('decision_date') }} and is_unit

),

contested_draws as (

    select * from {{ ref('stg_contested_sampled_decisions') }}

    where {{ in_decided_days('decision_date') }}

),

standing as (

    select
        channel,
        decision_id,
        decision_date,
        delivery_date

    from {{ ref('int_contested_decisions') }}

    where is_sampled and is_latest_unit

),

units as (

    select
        decision_id, channel, decision_date, strategy_id, version, environment, item_id, seller_id,
        category, market, policy, action, is_fired, score_bin, fine_bin, stratum,
        inclusion_probability, reach, gmv

    from draws

    union all

    select
        contested_draws.decision_id, contested_draws.channel, contested_draws.decision_date,
        contested_draws.strategy_id, contested_draws.version, contested_draws.environment,
        contested_draws.item_id, contested_draws.seller_id, contested_draws.category,
        contested_draws.market, contested_draws.policy, contested_draws.action,
        contested_draws.is_fired, contested_draws.score_bin, contested_draws.fine_bin,
        contested_draws.stratum, contested_draws.inclusion_probability, contested_draws.reach,
        contested_draws.gmv

    from contested_draws
    inner join standing
        on
            contested_draws.channel = standing.channel
            and contested_draws.decision_id = standing.decision_id
            and contested_draws.decision_date = standing.decision_date
            and contested_draws.delivery_date = standing.delivery_date

)

select * from units
