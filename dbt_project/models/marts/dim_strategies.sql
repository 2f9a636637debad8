with

strategies as (

    select * from {{ ref('stg_strategies') }}

)

select * from strategies
