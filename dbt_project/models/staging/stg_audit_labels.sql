with

source as (

    select * from {{ source('lake', 'audit_labels') }}

),

ranked as (

    -- The latest delivery of a key is what holds.
    select
        label_id,
        channel,
        reviewer_id,
        labelled_at,
        verdict,
        source,
        decision_id,
        item_id,
        policy,
        policy_version,
        golden_verdict,
        delivery_date,
        row_number() over (
            partition by channel, label_id order by delivery_date desc
        ) as recency

    from source

),

latest as (

    select
        label_id,
        channel,
        reviewer_id,
        labelled_at,
        verdict,
        source,
        decision_id,
        item_id,
        policy,
        policy_version,
        golden_verdict,
        delivery_date

    from ranked

    where recency = 1

)

select * from latest
