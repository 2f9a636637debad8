{#- What DuckDB and Spark write differently; nothing else in the project may.

docs/decisions/one-sql-for-two-engines.md says why each is here. -#}

{% macro days_between(first, last) -%}
    {{ return(adapter.dispatch('days_between', 'governance')(first, last)) }}
{%- endmacro %}

{% macro default__days_between(first, last) -%}
    datediff('day', {{ first }}, {{ last }})
{%- endmacro %}

{% macro spark__days_between(first, last) -%}
    cast(datediff({{ last }}, {{ first }}) as bigint)
{%- endmacro %}

{#- A sum of fractions that does not depend on the order of its terms. -#}
{% macro exact_sum(expression) -%}
    cast(sum(cast({{ expression }} as decimal(38, 9))) as double)
{%- endmacro %}

{#- Spark prunes partitions by constants alone, so there the days are written out. -#}
{% macro default__in_decision_days(column) -%}
    {{ column }} in (select days.day from {{ ref('stg_build_days') }} as days)
{%- endmacro %}

{% macro spark__in_decision_days(column) -%}
    {%- set days = decision_days() -%}
    {%- if days -%}
        {{ column }} in (date '{{ days | join("', date '") }}')
    {%- else -%}
        {{ governance.default__in_decision_days(column) }}
    {%- endif -%}
{%- endmacro %}

{% macro default__in_decision_months(column) -%}
    {{ column }} in (
        select cast(date_trunc('month', days.day) as date) from {{ ref('stg_build_days') }} as days
    )
{%- endmacro %}

{% macro spark__in_decision_months(column) -%}
    {%- set months = [] -%}
    {%- for day in decision_days() -%}
        {%- do months.append(day[:7] ~ '-01') -%}
    {%- endfor -%}
    {%- if months -%}
        {{ column }} in (date '{{ months | unique | join("', date '") }}')
    {%- else -%}
        {{ governance.default__in_decision_months(column) }}
    {%- endif -%}
{%- endmacro %}

{#- The days of this build. Never while parsing, where a variable that changes costs a new parse;
the reference makes the model wait for the days whichever way they are read. -#}
{% macro decision_days() -%}
    {%- set days = ref('stg_build_days') -%}
    {%- set named = env_var('GOVERNANCE_DECISION_DAYS', '') if execute else '' -%}
    {{ return(named.split() if named else []) }}
{%- endmacro %}

{% macro default__forget(is_recomputed) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ is_recomputed }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{#- Files do not forget rows: the engine removes the partitions of the days before dbt runs. -#}
{% macro spark__forget(is_recomputed) -%}
    select 1
{%- endmacro %}
