with

source as (

    select * from {{ source('lake', 'deliveries') }}

),

renamed as (

    select
        feed,
        channel,
        delivery_date,
        state,
        rows_delivered,
        rows_accepted,
        rows_quarantined,
        restatements,
        pending_rows,
        decision_days,
        refusal,
        suite_hash,
        plan_hash,
        registry_hash,
        release_reason

    from source

)

select * from renamed
