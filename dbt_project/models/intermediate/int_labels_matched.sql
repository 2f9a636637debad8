{{ recomputed_by_day() }}

with

labels as (

    select * from {{ ref('stg_audit_labels') }}

),

units as (

    select * from {{ ref('int_sampled_units') }}

    where {{ in_decision_days('decision_date') }}

),

strategies as (

    select * from {{ ref('stg_strategies') }}

),

by_decision as (

    select
        units.decision_id,
        units.channel,
        units.strategy_id,
        units.decision_date,
        labels.label_id,
        labels.reviewer_id,
        labels.labelled_at,
        labels.delivery_date,
        labels.verdict,
        labels.golden_verdict,
        labels.source,
        labels.first_verdict,
        labels.first_labelled_at,
        labels.first_delivery_date

    -- An id that was used again is two decisions. What is said of it is said of both, but not of
    -- one that was made later; clocks and zones may differ by a day.
    from labels
    inner join units
        on
            labels.channel = units.channel
            and labels.decision_id = units.decision_id
            and units.decision_date <= cast(labels.labelled_at as date) + 1

),

by_item as (

    -- One review serves every strategy that asks the same policy question of the item.
    select
        units.decision_id,
        units.channel,
        units.strategy_id,
        units.decision_date,
        labels.label_id,
        labels.reviewer_id,
        labels.labelled_at,
        labels.delivery_date,
        labels.verdict,
        labels.golden_verdict,
        labels.source,
        labels.first_verdict,
        labels.first_labelled_at,
        labels.first_delivery_date

    from labels
    inner join units
        on
            labels.channel = units.channel
            and labels.item_id = units.item_id
            and labels.policy = units.policy
            and units.decision_date <= cast(labels.labelled_at as date)

    where labels.decision_id is null

),

matched as (

    select * from by_decision

    union all

    select * from by_item

),

translated as (

    select
        matched.decision_id,
        matched.channel,
        matched.decision_date,
        matched.label_id,
        matched.reviewer_id,
        matched.source,
        matched.labelled_at,
        cast(matched.labelled_at as date) as labelled_date,
        matched.delivery_date,
        {{ policy_verdict('matched.verdict', 'strategies.polarity') }} as verdict,
        {{ policy_verdict('matched.golden_verdict', 'strategies.polarity') }} as golden_verdict,
        {{ policy_verdict('matched.first_verdict', 'strategies.polarity') }} as first_verdict,
        matched.first_labelled_at,
        matched.first_delivery_date

    from matched
    left join strategies on matched.strategy_id = strategies.strategy_id

)

select * from translated
