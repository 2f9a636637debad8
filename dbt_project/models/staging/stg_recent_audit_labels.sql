with

source as (

    select * from {{ source('lake', 'recent_audit_labels') }}

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
        golden_verdict,
        row_number() over (
            partition by channel, label_id order by delivery_date desc
        ) as recency

    from source

),

latest as (

    select
        label_id, channel, reviewer_id, labelled_at, verdict, source, golden_verdict

    from ranked

    where recency = 1

)

select * from latest
