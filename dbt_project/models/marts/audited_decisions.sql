{{ config(materialized='view') }}

with

units as (

    select * from {{ ref('int_sampled_units') }}

),

verdicts as (

    select * from {{ ref('int_labels_adjudicated') }}

),

appeals as (

    select * from {{ ref('int_appeals_matched') }}

),

keys as (

    select * from {{ ref('stg_evidence_key') }}

),

appealed as (

    select
        channel,
        decision_id,
        decision_date,
        max(outcome) as appeal_outcome

    from appeals

    group by channel, decision_id, decision_date

),

evidence as (

    -- Ids of items and sellers are hashed with a key: the evidence names nobody. A view: who
    -- publishes reads all of it once a day, and labels and appeals come for weeks.
    select
        units.decision_id,
        units.channel,
        units.decision_date,
        units.strategy_id,
        units.version,
        units.environment,
        md5(keys.evidence_key || units.item_id) as item_hash,
        md5(keys.evidence_key || units.seller_id) as seller_hash,
        cast(units.score_bin as integer) as score_bin,
        units.stratum,
        units.is_fired,
        verdicts.verdict,
        case
            when verdicts.verdict = 'should_fire' and units.is_fired then 'TP'
            when verdicts.verdict = 'should_not_fire' and units.is_fired then 'FP'
            when verdicts.verdict = 'should_fire' then 'FN'
            when verdicts.verdict = 'should_not_fire' then 'TN'
        end as outcome,
        units.category,
        units.market,
        units.reach,
        units.inclusion_probability,
        appealed.appeal_outcome,
        verdicts.adjudication,
        verdicts.is_disputed

    from units
    cross join keys
    inner join verdicts
        on
            units.channel = verdicts.channel
            and units.decision_id = verdicts.decision_id
            and units.decision_date = verdicts.decision_date
    left join appealed
        on
            units.channel = appealed.channel
            and units.decision_id = appealed.decision_id
            and units.decision_date = appealed.decision_date

)

select * from evidence
