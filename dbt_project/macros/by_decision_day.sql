{#- Tables by decision day are recomputed for exactly the days that intake named.

The days are rows, not vars: vars that change make dbt parse the whole project anew. -#}

{% macro in_decision_days(column) -%}
    {{ column }} in (select days.day from {{ ref('stg_build_days') }} as days)
{%- endmacro %}

{#- Run before the recomputed days are appended, in the same transaction. -#}
{% macro forget_decision_days(column='decision_date') -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ in_decision_days(column) }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{#- A month is recomputed when one of its days is. -#}
{% macro in_decision_months(column) -%}
    {{ column }} in (
        select cast(date_trunc('month', days.day) as date) from {{ ref('stg_build_days') }} as days
    )
{%- endmacro %}

{% macro forget_decision_months(column='decision_month') -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ in_decision_months(column) }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}
