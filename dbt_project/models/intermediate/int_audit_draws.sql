{{ recomputed_by_day() }}

with

units as (

    select * from {{ ref('int_sampled_units') }}

    where {{ in_decision_days('decision_date') }}

),

verdicts as (

    select * from {{ ref('int_labels_adjudicated') }}

),

labelled as (

    select
        units.strategy_id,
        units.version,
        units.channel,
        units.environment,
        units.decision_date,
        units.decision_id,
        units.is_fired,
        units.stratum,
        units.fine_bin,
        units.inclusion_probability,
        units.reach,
        units.gmv,
        units.category,
        units.market,
        verdicts.verdict,
        verdicts.verdict_first,
        verdicts.known_on,
        {{ days_between('units.decision_date', 'verdicts.known_on') }} as lag_days,
        verdicts.adjudication,
        verdicts.is_disputed

    from units
    inner join verdicts
        on
            units.channel = verdicts.channel
            and units.decision_id = verdicts.decision_id
            and units.decision_date = verdicts.decision_date

)

select * from labelled
