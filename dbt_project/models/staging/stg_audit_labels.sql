with

source as (

    select * from {{ source('lake', 'audit_labels') }}

),

ranked as (

    -- The latest delivery of a key is what holds; what the first one said was bet on.
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
        first_value(verdict) over (
            partition by channel, label_id order by delivery_date
        ) as first_verdict,
        first_value(labelled_at) over (
            partition by channel, label_id order by delivery_date
        ) as first_labelled_at,
        min(delivery_date) over (partition by channel, label_id) as first_delivery_date,
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
        delivery_date,
        first_verdict,
        first_labelled_at,
        first_delivery_date

    from ranked

    where recency = 1

)

select * from latest
