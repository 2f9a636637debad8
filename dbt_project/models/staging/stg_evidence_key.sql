with

source as (

    select * from {{ source('lake', 'evidence_key') }}

)

select evidence_key from source
