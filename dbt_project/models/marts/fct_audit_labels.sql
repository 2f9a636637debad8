{{ recomputed_by_day(on_schema_change='fail') }}

with

draws as (

    select * from {{ ref('int_audit_draws') }}

    where {{ in_decision_days('decision_date') }}

),

weighed as (

    select
        *,
        1.0 / inclusion_probability as weight,
        coalesce(reach, 0) / inclusion_probability as reach_weight

    from draws

),

summed as (

    select
        strategy_id,
        version,
        channel,
        environment,
        decision_date,
        stratum,
        cast(lag_days as integer) as lag_days,
        count(*) filter (where verdict <> 'unsure') as labelled,
        count(*) filter (where verdict = 'should_fire') as should_fire,
        count(*) filter (where verdict = 'unsure') as unsure,
        coalesce({{ exact_sum("case when verdict <> 'unsure' then weight end") }}, 0) as sum_w,
        coalesce(
            {{ exact_sum("case when verdict <> 'unsure' then weight * weight end") }}, 0
        ) as sum_w2,
        coalesce({{ exact_sum("case when verdict = 'should_fire' then weight end") }}, 0)
            as sum_w_fire,
        coalesce({{ exact_sum("case when verdict <> 'unsure' then reach_weight end") }}, 0)
            as sum_wr,
        coalesce(
            {{ exact_sum("case when verdict <> 'unsure' then reach_weight * reach_weight end") }}, 0
        ) as sum_wr2,
        coalesce({{ exact_sum("case when verdict = 'should_fire' then reach_weight end") }}, 0)
            as sum_wr_fire

    from weighed

    group by strategy_id, version, channel, environment, decision_date, stratum, lag_days

)

select * from summed
