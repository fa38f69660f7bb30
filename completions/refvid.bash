_refvid_completion() {
    local IFS=$'
'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" \
                   COMP_CWORD=$COMP_CWORD \
                   _REFVID_COMPLETE=complete_bash $1 ) )
    return 0
}

complete -o default -F _refvid_completion refvid
